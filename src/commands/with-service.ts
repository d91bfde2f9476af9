// The service for as long as a command needs it. Loaded when it is called: the help needs none.

import type { Service } from "../service/service.ts";
import type { CommandContext } from "./context.ts";

/** Opens it, gives it to `work`, and closes it whatever comes of that. What the engine tells is not logged. */
export async function withService<Value>(context: CommandContext, work: (service: Service) => Promise<Value>): Promise<Value> {
  const { openService } = await import("../service/service.ts");
  const service = await openService(await context.settings(), context.root, () => undefined);
  try {
    return await work(service);
  } finally {
    await service.close();
  }
}
