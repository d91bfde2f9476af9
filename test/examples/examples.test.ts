// The example app as its developers and operators run it, and the how-to that shows its lines.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serve } from "../handlers/local-server.ts";
import { root, start } from "../support/cli.ts";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => (db = await testDatabase()));
afterAll(() => db.close());

it("its own tests pass under node:test, without vitest", async () => {
  const { code, stdout, stderr } = await start(process.execPath, ["--conditions", "postcommit-source", "--import", "tsx", "--test", "--test-reporter", "tap", "examples/invoices.test.ts"], { DATABASE_URL: db.url }).ended;
  expect({ code, stderr, failed: stdout.match(/^ *not ok .*$/gm) }).toEqual({ code: 0, stderr: "", failed: null });
  expect(stdout).toContain("an invoice is reminded of after two weeks, not before");
});

it("jobs:drain finds the handler by its file's name alone", async () => {
  const billing = await serve((_, answer) => answer.writeHead(200).end());
  try {
    await db.pool.query("create table if not exists app_invoice (id text primary key, customer text, reminders int default 0)");
    await db.pool.query("insert into app_invoice (id, customer) values ('i-1', 'Ada')");
    const { rows } = await db.pool.query<{ id: string }>(`insert into outbox (type, payload) values ('invoice.remind', '{"invoiceId":"i-1"}') returning id`);
    const main = `import { main } from "./src/commands/index.ts"; await main(["jobs:drain", "--json"], ${JSON.stringify(join(root, "examples"))});`;
    const { code, stdout, stderr } = await start(process.execPath, ["--import", "tsx", "--input-type=module", "-e", main], { DATABASE_URL: db.url, BILLING_URL: billing.origin }).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ done: 1, unhandled: [] });
    expect(billing.received).toMatchObject([{ url: "/invoices/i-1/reminders?locale=en", headers: { "idempotency-key": rows[0]?.id } }]);
    expect((await db.pool.query("select reminders from app_invoice where id = 'i-1'")).rows).toEqual([{ reminders: 1 }]);
  } finally {
    await billing.close();
  }
});

it("the how-to shows these very lines", async () => {
  const shown = await Promise.all(["add-a-job-type.md", "test-your-jobs.md"].map((name) => readFile(join(root, "docs/how-to", name), "utf8")));
  const snippets = shown.flatMap((text) => [...text.matchAll(/```ts\n\/\/ (examples\/\S+)\n([\s\S]*?)```/g)].map(([, path = "", code = ""]) => ({ path, code })));
  expect(new Set(snippets.map(({ path }) => path))).toEqual(new Set(["examples/handlers/invoice.remind.ts", "examples/outbox.config.ts", "examples/invoices.ts", "examples/invoices.test.ts"]));
  for (const { path, code } of snippets) {
    const file = await readFile(join(root, path), "utf8");
    // Its comment at the top may be left out, and of the test the beginning too.
    expect(file.includes(code), `${path} does not have the lines:\n${code}`).toBe(true);
  }
});

it("no file of it is longer than 60 lines", async () => {
  const names = (await readdir(join(root, "examples"), { recursive: true })).filter((name) => name.endsWith(".ts"));
  for (const name of names) expect([name, (await readFile(join(root, "examples", name), "utf8")).split("\n").length <= 61]).toEqual([name, true]);
});
