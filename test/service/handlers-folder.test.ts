// The app's folder of handlers: what is read of it, when, and what is refused.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Handler } from "../../src/outbox/define.ts";
import { createRegistry, typeOf } from "../../src/outbox/registry.ts";
import { loadSettings } from "../../src/service/config.ts";
import { handlersIn } from "../../src/service/handlers-folder.ts";
import { root } from "../support/cli.ts";

let app: string;
let folder: string;
beforeEach(async () => {
  app = await mkdtemp(join(tmpdir(), "handlers-"));
  folder = join(app, "handlers");
  await mkdir(folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(app, { recursive: true });
});

const define = `import { defineJob, handle } from "${pathToFileURL(join(root, "src/index.ts")).href}";\n`;
const file = (name: string, text: string) => writeFile(join(folder, name), text);
/** The text of a file with one handler, which says who it is. */
const handlerOf = (type: string, more = "") => `${define}export default handle(defineJob({ type: "${type}"${more} }), async () => "${type}");`;

async function types(): Promise<string[]> {
  return (await handlersIn(folder)).map(typeOf);
}

/** What becomes of the only handler when its first job is claimed: the handler, or why it does not load. */
async function loaded(): Promise<Handler | string> {
  const entries = await handlersIn(folder);
  const problems: unknown[] = [];
  const handler = await createRegistry(entries).handlerOf(typeOf(entries[0]!), (error) => problems.push(error));
  return handler ?? (problems[0] as Error).message;
}

describe("a file whose name is a type", () => {
  it("is loaded when the first job of its type is claimed, and not before", async () => {
    await file("invoice.remind.ts", handlerOf("invoice.remind"));
    await file("broken.file.ts", `throw new Error("loaded too early");`);
    const entries = await handlersIn(folder);
    expect(entries.map(typeOf)).toEqual(["broken.file", "invoice.remind"]);
    const handler = await createRegistry(entries).handlerOf("invoice.remind", () => undefined);
    expect(await handler?.run({}, {} as never)).toBe("invoice.remind");
  });

  it("that fails to load says so with its name, and the error is kept as the cause", async () => {
    await file("invoice.remind.ts", `throw new Error("no such library");`);
    expect(await loaded()).toBe("handlers/invoice.remind.ts did not load: no such library");
  });

  it("must have the handler of that type", async () => {
    await file("invoice.remind.ts", handlerOf("invoice.send"));
    expect(await loaded()).toBe('Expected handlers/invoice.remind.ts to have the handler of "invoice.remind", as its name says, got that of "invoice.send". Rename the file, or correct the type.');
  });

  it("cannot have limits, which must be known earlier: the error says how to rename it", async () => {
    await file("invoice.remind.ts", handlerOf("invoice.remind", ", concurrency: 5"));
    expect(await loaded()).toMatch(/^Expected the contract in handlers\/invoice\.remind\.ts to have no limits, .* Rename it to invoice-remind\.ts: a name without a dot is loaded at the start\.$/);
  });

  it.each([
    ["nothing", "export const handler = 1;", "got none (expected `export default handle(contract, async (payload, ctx) => …)`)"],
    ["a contract", `${define}export default defineJob({ type: "invoice.remind" });`, "got a contract (make a handler of it by handle)"],
    ["a function", "export default async () => {};", "got a function"],
    ["an array", "export default [];", "got an array (which belongs into a file whose name has no dot: that one is loaded at the start)"],
    ["null", "export default null;", "got null"],
    ["something else", "export default { run() {} };", "got some other object"],
  ])("is refused when its default export is %s", async (_, text, got) => {
    await file("invoice.remind.ts", text);
    expect(await loaded()).toBe(`Expected the default export of handlers/invoice.remind.ts to be the handler of "invoice.remind", ${got}.`);
  });
});

describe("a file whose name has no dot", () => {
  it("is loaded at the start: a handler of any type, with limits, or an array, of lazy ones too", async () => {
    await file("limited.ts", handlerOf("invoice.remind", `, rateLimit: { limit: 100, per: "1m" }`));
    await file("billing.ts", `${define}export default [handle(defineJob({ type: "a" }), async () => 1), { type: "b", load: () => Promise.reject(new Error("later")) }];`);
    const entries = await handlersIn(folder);
    expect(entries.map(typeOf)).toEqual(["a", "b", "invoice.remind"]);
    expect(createRegistry(entries).contracts().map(({ type }) => type)).toEqual(["a", "invoice.remind"]);
  });

  it("is refused when it has none, by its name", async () => {
    await file("helpers.ts", "export const one = 1;");
    await expect(types()).rejects.toThrow(/^Expected the default export of handlers\/helpers\.ts to be a handler or an array of handlers, got none .* What handlers share belongs into a folder of its own\.$/);
  });
});

it("tests, declarations, hidden files, other files and folders are not read", async () => {
  for (const name of ["invoice.remind.test.ts", "invoice.test.js", "invoice.remind.d.ts", ".hidden.ts", ".eslintrc.js", "README.md", "data.json", "a.mts"]) await file(name, "throw 1;");
  await mkdir(join(folder, "shared.ts"));
  await file("invoice.remind.js", handlerOf("invoice.remind"));
  expect(await types()).toEqual(["invoice.remind"]);
});

it("a CommonJS module that was compiled from an ES module is one as well", async () => {
  await writeFile(join(folder, "package.json"), `{ "type": "commonjs" }`);
  await file("invoice.remind.js", `Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { contract: { type: "invoice.remind", concurrency: null, rateLimit: null, job() {} }, run: async () => 1 };`);
  expect(await loaded()).toMatchObject({ contract: { type: "invoice.remind" } });
});

it("two files for one type are refused, and both are named", async () => {
  await file("invoice.remind.ts", handlerOf("invoice.remind"));
  await file("billing.ts", handlerOf("invoice.remind"));
  await expect(types()).rejects.toThrow('Expected one handler for each type, got two for "invoice.remind": in handlers/billing.ts and in handlers/invoice.remind.ts.');
});

describe("outbox.config.ts", () => {
  it("names the folder by its path from there", async () => {
    vi.stubEnv("DATABASE_URL", undefined);
    await file("invoice.remind.ts", handlerOf("invoice.remind"));
    await writeFile(join(app, "outbox.config.ts"), `export default { handlers: "./handlers" };`);
    expect((await loadSettings(app)).handlers.map(typeOf)).toEqual(["invoice.remind"]);
  });

  it("is told where the folder was looked for, when there is none", async () => {
    vi.stubEnv("DATABASE_URL", undefined);
    await writeFile(join(app, "outbox.config.ts"), `export default { handlers: "./handler" };`);
    await expect(loadSettings(app)).rejects.toThrow(`Expected handlers in outbox.config.ts to be a folder beside that file, for example "./handlers", but ${join(app, "handler")} cannot be read: ENOENT`);
  });
});
