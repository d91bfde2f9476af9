// The handlers that a test runs, each loaded: a file that does not load is found here, not when its first job comes.

import { resolve } from "node:path";
import type { HandlerEntry } from "../outbox/registry.ts";
import { handlersIn } from "../service/handlers-folder.ts";

/** An array as it is; of a folder every file, loaded and checked. */
export async function loadedHandlers(handlers: readonly HandlerEntry[] | string): Promise<readonly HandlerEntry[]> {
  if (typeof handlers !== "string") return handlers;
  const entries = await handlersIn(resolve(handlers));
  await Promise.all(entries.map(async (entry) => ("load" in entry ? entry.load() : entry)));
  return entries;
}
