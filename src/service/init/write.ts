// Carries a plan out: makes what is missing, and never writes over anything.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import { failureOf } from "../../outbox/failure.ts";
import type { InitPlan } from "./plan.ts";

export async function writePlan(app: string, { files }: InitPlan): Promise<void> {
  for (const { path, state, text } of files) {
    if (state !== "missing") continue;
    try {
      await mkdir(dirname(join(app, path)), { recursive: true });
      await writeFile(join(app, path), text, { flag: "wx" }); // another init may have made it meanwhile
    } catch (cause) {
      throw new OutboxError("CONFIGURATION", `${path} cannot be written: ${failureOf(cause).message}. What was missing before it is there now; mend this, and run init again.`, { cause });
    }
  }
}
