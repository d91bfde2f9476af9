// What the built program loads: a crontab starts it every minute, mostly for nothing.
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { start } from "../support/cli.ts";
import type { Clone } from "../support/clone.ts";
import { clone } from "../support/clone.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let here: Clone;
let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  here = await clone();
  await here.build("--no-types");
}, 120_000);
afterAll(async () => {
  await here.remove();
  await test.close();
});

/** Tells on stderr of every file that Node loads. */
const hook = `import { writeSync } from "node:fs"; export const load = (url, context, next) => (writeSync(2, "loaded " + url + "\\n"), next(url, context));`;
const watch = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;

async function loadedBy(args: readonly string[]): Promise<{ code: number | null; said: string; own: string[]; packages: string[] }> {
  const { code, stderr } = await start(process.execPath, ["--import", `data:text/javascript,${encodeURIComponent(watch)}`, join(here.folder, "dist/cli.js"), ...args], { DATABASE_URL: test.url }, here.folder).ended;
  const files = [...stderr.matchAll(/^loaded (file:.*)$/gm)].map(([, url = ""]) => url);
  return {
    code,
    said: stderr.replaceAll(/^loaded .*\n/gm, ""),
    own: files.filter((url) => !url.includes("/node_modules/")).map((url) => basename(url).replace(/-[0-9A-F]{8}/, "").replace(".js", "")),
    packages: files.filter((url) => url.includes("/node_modules/")),
  };
}

it("an empty drain, with the clone's own outbox.config.ts, loads no package at all: no Prisma, zod, pdfkit, nodemailer, hono, croner, pino or tsx", async () => {
  const { code, said, own, packages } = await loadedBy(["jobs:drain"]);
  expect({ code, said, packages }).toEqual({ code: 0, said: "", packages: [] });
  expect(own).toEqual(expect.arrayContaining(["cli", "engine", "pg", "outbox.config"]));
  expect(own.filter((name) => /email|pdf|webhook|payment|notification|sync|db-outbox|embedded|client|load-module|doctor/.test(name))).toEqual([]);
});

it("--help needs neither the engine nor pg", async () => {
  const { code, own, packages } = await loadedBy(["--help"]);
  expect({ code, packages }).toEqual({ code: 0, packages: [] });
  expect([...new Set(own)].sort()).toEqual(["base", "cli", "commander", "commands", "main", "others", "rolldown-runtime"]);
});

it("a drain loads what its jobs need, and that only", async () => {
  await test.aJob({ type: "audit.log", payload: { event: "a" } });
  const { code, own, packages } = await loadedBy(["jobs:drain"]);
  expect(code).toBe(0);
  expect((await test.jobs("status = 'done'")).length).toBe(1);
  expect(own).toContain("audit-log");
  expect(packages.filter((url) => !url.includes("/zod/"))).toEqual([]);
});
