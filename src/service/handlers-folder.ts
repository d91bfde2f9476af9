// The app's folder of handlers, `handlers: "./handlers"` in outbox.config.ts: a file more is a type more.

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Handler, LazyHandler } from "../outbox/define.ts";
import { eachOf } from "../outbox/each-of.ts";
import { OutboxError } from "../outbox/errors.ts";
import { failureOf } from "../outbox/failure.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";

/**
 * The handlers of the .ts and .js files of `folder`, an absolute path. Not read: folders in it (the place for what
 * handlers share), *.test.*, *.d.ts, and names that begin with a dot.
 *
 * A name with a dot in it is a type: the default export of `invoice.remind.ts` is the handler of "invoice.remind". Such
 * a file is loaded when the first job of its type is claimed, so that a drain with nothing to do loads none of them.
 * Its contract cannot have limits (`concurrency`, `rateLimit`), because they must be known before that claim.
 *
 * A name without a dot (`billing.ts`) says nothing, so the file is loaded at the start. Its default export is a handler
 * of any type or an array of handlers, with limits or without; `{ type, contract, load }` is one too.
 */
export async function handlersIn(folder: string): Promise<HandlerEntry[]> {
  const names = (await filesOf(folder)).filter(isHandlerFile).sort();
  const found = await Promise.all(names.map(async (name) => ({ name, entries: await entriesOf(folder, name) })));
  const fileOf = new Map<string, string>();
  for (const { name, entries } of found) {
    for (const type of entries.map(typeOf)) {
      const other = fileOf.get(type);
      if (other !== undefined) throw new OutboxError("DUPLICATE_HANDLER", `Expected one handler for each type, got two for "${type}": in ${shown(folder, other)} and in ${shown(folder, name)}.`);
      fileOf.set(type, name);
    }
  }
  return found.flatMap(({ entries }) => entries);
}

async function filesOf(folder: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    throw new OutboxError("CONFIGURATION", `Expected handlers in outbox.config.ts to be a folder beside that file, for example "./handlers", but ${folder} cannot be read: ${failureOf(cause).message}.`, { cause });
  }
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}

function isHandlerFile(name: string): boolean {
  return /\.[jt]s$/.test(name) && !/(^\.|\.d\.ts$|\.test\.[jt]s$)/.test(name);
}

async function entriesOf(folder: string, name: string): Promise<HandlerEntry[]> {
  const type = name.slice(0, -".ts".length);
  if (type.includes(".")) return [lazyHandler(folder, name, type)];
  const exported = await defaultExportOf(folder, name);
  return eachOf(exported).map((entry) => {
    if (isHandler(entry) || isLazy(entry)) return entry;
    throw new OutboxError("CONFIGURATION", `Expected the default export of ${shown(folder, name)} to be a handler or an array of handlers, got ${kindOf(entry)}. What handlers share belongs into a folder of its own.`);
  });
}

function lazyHandler(folder: string, name: string, type: string): LazyHandler {
  return {
    type,
    async load() {
      const file = shown(folder, name);
      const handler = await defaultExportOf(folder, name);
      if (!isHandler(handler)) throw new OutboxError("CONFIGURATION", `Expected the default export of ${file} to be the handler of "${type}", got ${kindOf(handler)}.`);
      const { contract } = handler;
      if (contract.type !== type) {
        throw new OutboxError("CONFIGURATION", `Expected ${file} to have the handler of "${type}", as its name says, got that of "${contract.type}". Rename the file, or correct the type.`);
      }
      if (contract.concurrency !== null || contract.rateLimit !== null) {
        throw new OutboxError("CONFIGURATION", `Expected the contract in ${file} to have no limits, because they must be known before its first job is claimed, and a file named after its type is loaded afterwards. Rename it to ${name.slice(0, -".ts".length).replaceAll(".", "-")}${name.slice(-".ts".length)}: a name without a dot is loaded at the start.`);
      }
      return handler;
    },
  };
}

async function defaultExportOf(folder: string, name: string): Promise<unknown> {
  let module: { readonly default?: unknown };
  try {
    module = await (await import("./load-module.ts")).loadModule(join(folder, name));
  } catch (cause) {
    throw new OutboxError("CONFIGURATION", `${shown(folder, name)} did not load: ${failureOf(cause).message}`, { cause });
  }
  const exported = module.default;
  // A CommonJS module that was compiled from an ES one has its default export one level further down.
  return typeof exported === "object" && exported !== null && "__esModule" in exported && "default" in exported ? exported.default : exported;
}

function isHandler(value: unknown): value is Handler {
  return typeof value === "object" && value !== null && "run" in value && typeof value.run === "function" && "contract" in value && isContract(value.contract);
}

function isLazy(value: unknown): value is LazyHandler {
  return typeof value === "object" && value !== null && "load" in value && typeof value.load === "function" && "type" in value && typeof value.type === "string";
}

function isContract(value: unknown): boolean {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string" && "job" in value && typeof value.job === "function";
}

function kindOf(value: unknown): string {
  if (value === undefined) return "none (expected `export default handle(contract, async (payload, ctx) => …)`)";
  if (isContract(value)) return "a contract (make a handler of it by handle)";
  if (Array.isArray(value)) return "an array (which belongs into a file whose name has no dot: that one is loaded at the start)";
  return value === null ? "null" : typeof value === "object" ? "some other object" : `a ${typeof value}`;
}

/** As people say it: handlers/invoice.remind.ts. */
function shown(folder: string, name: string): string {
  return `${basename(folder)}/${name}`;
}
