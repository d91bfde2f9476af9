// The package as npm would publish it, in an app that has installed it: its types, its entry points, its command line.
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { aProposal } from "../handlers/pdf/documents.ts";
import { root, start } from "../support/cli.ts";
import type { TestDatabase } from "../support/database.ts";
import { emptyDatabase } from "../support/database.ts";
import type { Installed } from "../support/installed.ts";
import { installed } from "../support/installed.ts";

let app: Installed;
let db: TestDatabase;
let env: Record<string, string>;
beforeAll(async () => {
  [db, app] = await Promise.all([emptyDatabase(), installed()]);
  env = { DATABASE_URL: db.url };
}, 240_000);
afterAll(async () => {
  await app.remove();
  await db.close();
});

const postcommit = (args: readonly string[], folder = app.folder) => start(join(app.folder, "node_modules/.bin/postcommit"), args, env, folder).ended;
const node = (args: readonly string[]) => start(process.execPath, args, env, app.folder).ended;

it("has the program, its types, the schema and the migrations; no sources, no tests, nothing of the demo or of this clone", () => {
  const folders = new Set(app.packed.filter((path) => !path.endsWith(".map")).map((path) => path.split("/").slice(0, 2).join("/")));
  expect([...folders].sort()).toEqual(["LICENSE", "README.md", "dist/chunks", "dist/cli.js", "dist/fresh.js", "dist/http.js", "dist/index.js", "dist/jobs.js", "dist/main.js", "dist/testing.js", "dist/third-party.txt", "dist/types", "package.json", "prisma/migrations", "prisma/schema.prisma"]);
  expect(app.packed.filter((path) => path.includes("demo"))).toEqual([]);
});

describe("every entry point", () => {
  it("is imported by JavaScript", async () => {
    await app.file("entries.js", `
      import { createOutbox, FinalError, OutboxError } from "postcommit";
      import * as jobs from "postcommit/jobs";
      import * as testing from "postcommit/testing";
      let problem;
      try { createOutbox({ connection: "" }); } catch (error) { problem = error; }
      console.log(JSON.stringify([problem instanceof OutboxError, new FinalError("x").name, Object.keys(jobs).length, Object.keys(testing).sort()]));
    `);
    const { code, stdout, stderr } = await node(["entries.js"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual([true, "FinalError", 10, ["expectEnqueued", "refuteEnqueued", "runJob", "runTwice", "testOutbox"]]);
  });

  it("has types that an app can check itself against, libraries and all", { timeout: 120_000 }, async () => {
    for (const name of ["typescript", "@types/node", "@types/pg"]) await app.add(name);
    await app.file("tsconfig.json", JSON.stringify({ compilerOptions: { target: "ES2023", lib: ["ES2023", "ESNext.Disposable"], module: "NodeNext", types: ["node"], strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true }, include: ["right.ts"] }));
    await app.file("right.ts", `
      import { createOutbox, defineConfig, defineJob, handle } from "postcommit";
      import type { AppOutbox } from "postcommit";
      import { emailSend } from "postcommit/jobs";
      import { runJob } from "postcommit/testing";
      declare module "postcommit" {
        interface Register { transaction: { invoice: { count(): Promise<number> } } }
      }
      const remind = defineJob<{ id: string }>({ type: "invoice.remind" });
      const handler = handle(remind, async ({ id }, ctx) => ctx.complete(async (tx) => ({ id, count: await tx.invoice.count() })));
      const outbox: AppOutbox = createOutbox({ connection: "postgresql://localhost/app" });
      export const all = [outbox, runJob, defineConfig({ handlers: [handler] }), emailSend.job({ to: "a@example.com", subject: "s", body: "b" })];
      // @ts-expect-error -- there is no such field
      emailSend.job({ to: "a@example.com", subject: "s", text: "b" });
    `);
    const { code, stdout } = await node([join(root, "node_modules/typescript/bin/tsc"), "-p", "."]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    await rm(join(app.folder, "tsconfig.json"));
  });
});

describe("npx postcommit", () => {
  it("--help and --version answer, and name what an app can type", async () => {
    const { code, stdout } = await start("npx", ["--no-install", "postcommit", "--help"], env, app.folder).ended;
    expect(code).toBe(0);
    expect(stdout).toContain("npx postcommit jobs:drain");
    expect(stdout).not.toContain("app:cli");
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
    expect((await postcommit(["--version"])).stdout).toBe(`${version}\n`);
  });

  it("init, migrate, an enqueue and a drain: the job has run", async () => {
    const initialised = await postcommit(["init"]);
    expect(initialised).toMatchObject({ code: 0, stderr: expect.stringContaining("npx postcommit migrate") as string });
    expect(initialised.stdout).not.toContain("demo");
    const migrated = await postcommit(["migrate"]);
    expect({ code: migrated.code, last: migrated.stderr.trimEnd().split("\n").at(-1) }).toEqual({ code: 0, last: "The database is up to date." });
    await app.file("enqueue.js", `
      import { createOutbox, defineJob } from "postcommit";
      import { auditLog, pdfGenerate } from "postcommit/jobs";
      const outbox = createOutbox({ connection: process.env.DATABASE_URL });
      await outbox.enqueueAlone(auditLog, { event: "it.works" });
      await outbox.enqueueAlone(defineJob({ type: "app.greet" }), { name: "Ada" });
      await outbox.enqueueAlone(pdfGenerate, ${JSON.stringify(aProposal())});
      await outbox.close();
    `);
    await app.file("handlers/app.greet.js", `
      import { defineJob, FinalError, handle } from "postcommit";
      export default handle(defineJob({ type: "app.greet" }), async ({ name }) => { throw new FinalError("greeted " + name); });
    `);
    await app.file("outbox.config.mjs", `
      import { defineConfig } from "postcommit";
      export default defineConfig({ handlers: "./handlers" });
    `);
    await rm(join(app.folder, "outbox.config.js"));
    expect(await node(["enqueue.js"])).toMatchObject({ code: 0, stderr: "" });
    const drained = await postcommit(["jobs:drain", "--json"]);
    // The handler's FinalError is the program's: one attempt, and no other.
    expect(drained.code).toBe(3);
    expect(JSON.parse(drained.stdout)).toMatchObject({ done: 2, dead: 1, retried: 0, unhandled: [] });
    expect((await db.pool.query("select event from audit_log")).rows).toEqual([{ event: "it.works" }]);
    expect((await db.pool.query("select last_error from outbox where status = 'error'")).rows[0]).toMatchObject({ last_error: expect.stringContaining("greeted Ada") as string });
    expect((await readdir(join(app.folder, "var/documents"))).length).toBe(1);
  });

  it("reads jobs in Prisma's words, also when called from a folder of the app", async () => {
    const { code, stdout } = await postcommit(["db", "outbox", "count", '{"where":{"status":"done"}}'], join(app.folder, "handlers"));
    expect({ code, stdout }).toEqual({ code: 0, stdout: "2\n" });
  });

  it("an outbox.config.ts is read by Node itself or by tsx, and where neither can, the command says what to do", async () => {
    await rm(join(app.folder, "outbox.config.mjs"));
    await app.file("outbox.config.ts", `
      import { defineConfig } from "postcommit";
      const folder: string = "./handlers";
      export default defineConfig({ handlers: folder, dataDir: "elsewhere" });
    `);
    const shown = () => postcommit(["config:show"]);
    if (!("typescript" in process.features && process.features.typescript)) {
      const refused = await shown();
      expect(refused.code).toBe(78);
      expect(refused.stderr).toMatch(/^Expected Node 22\.18 or later, or the package tsx, to read .*outbox\.config\.ts: this is Node .*npm install tsx/);
      await app.add("tsx");
    }
    expect((await shown()).stdout).toMatch(/^dataDir\telsewhere\toutbox\.config\.ts/m);
    await rm(join(app.folder, "outbox.config.ts"));
  });

  it("an error that nobody expected is shown with the lines of the sources", async () => {
    await app.file("boom.js", `
      import { main } from "./node_modules/postcommit/dist/main.js";
      process.stdout.write = () => { throw new TypeError("boom"); };
      await main(["config:show"], process.cwd());
    `);
    const { stderr } = await node(["boom.js"]);
    expect(stderr).toContain("TypeError: boom");
    expect(stderr).toMatch(/at .*\(src\/commands\/output\.ts:\d+:\d+\)/);
  });
});
