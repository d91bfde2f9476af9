// What people see and press on a terminal: questions, tables, widths, colours, psql.
import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { keys, start } from "../support/pty.ts";

let test: TestOutbox;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  env = { DATABASE_URL: test.url };
});
afterAll(() => test.close());
beforeEach(() => test.empty());

const escape = "\u001b";
const long = new Date("2023-06-01T00:00:00Z");
const states = async () => (await test.jobs()).map(({ status }) => status);

describe.each([
  { line: "db outbox deleteMany", args: ["db", "outbox", "deleteMany", '{"where":{"status":"pending"}}'], job: { status: "pending" }, asked: "Delete 1 job? [y/N]", done: [] },
  { line: "db outbox updateMany", args: ["db", "outbox", "updateMany", '{"where":{"status":"pending"},"data":{"status":"cancelled"}}'], job: { status: "pending" }, asked: 'Set status to "cancelled" on 1 job? [y/N]', done: ["cancelled"] },
  { line: "jobs:prune", args: ["jobs:prune", "--older-than", "1h"], job: { status: "done", finished_at: long }, asked: "Delete 1 job (1 done)? [y/N]", done: [] },
])("$line asks on a terminal, and", ({ args, job, asked, done }) => {
  it("does it for y", async () => {
    await test.aJob(job);
    const terminal = start(args, env);
    await terminal.seen(asked);
    expect(await states()).toEqual([job.status]);
    terminal.type(`y${keys.enter}`);
    expect(await terminal.ended).toMatchObject({ code: 0 });
    expect(await states()).toEqual(done);
  });

  it.each([
    ["n", `n${keys.enter}`],
    ["Enter", keys.enter],
    ["Ctrl-D", keys.ctrlD],
  ])("does nothing for %s, and says so", async (_, pressed) => {
    const id = await test.aJob(job);
    const terminal = start(args, env);
    await terminal.seen(asked);
    terminal.type(pressed);
    const { code, screen } = await terminal.ended;
    expect(code).toBe(2);
    expect(screen).toMatch(/\nNothing was changed\.$/);
    expect(await test.job(id)).toMatchObject({ status: job.status });
  });


  it("does nothing for Ctrl-C, and ends at once", async () => {
    const id = await test.aJob(job);
    const terminal = start(args, env);
    await terminal.seen(asked);
    terminal.type(keys.ctrlC);
    const { code, signal } = await terminal.ended;
    // Prisma's client raises the signal again when it has closed; a shell sees 130 then.
    expect(code === 2 || signal === 2, `${code}, ${signal}`).toBe(true);
    expect(await test.job(id)).toMatchObject({ status: job.status });
  });
});

describe("on a terminal", () => {
  it("rows are a table; piped they are TSV", async () => {
    const id = await test.aJob({ status: "error" });
    const args = ["db", "outbox", "findMany", '{"select":{"id":true,"type":true,"status":true}}'];
    const { screen } = await start(args, env).ended;
    expect(screen.split("\n")).toEqual([`id${" ".repeat(36)}type  status`, `${id}  work  error`]);
    expect((await cli(args, env)).stdout).toBe(`id\ttype\tstatus\n${id}\twork\terror\n`);
  });

  it("a narrow one shows what fits, and says what is left out", async () => {
    const id = await test.aJob({ last_error: "x".repeat(200) });
    const { screen, written } = await start(["db", "outbox", "findMany"], env, { columns: 60 }).ended;
    const [head = "", row = "", ...rest] = screen.split("\n");
    expect(head.startsWith("id")).toBe(true);
    expect(row.startsWith(id)).toBe(true);
    expect(rest.join("\n")).toMatch(/^Not shown for lack of width: .*--json shows everything\./);
    for (const line of written.split("\r\n").slice(0, 2)) expect(line.replaceAll(/\u001b\[\d+m/g, "").length).toBeLessThanOrEqual(60);
  });

  it("a status has its colour and a table's head is bold", async () => {
    await test.aJob({ status: "error" });
    const { written } = await start(["db", "outbox", "findMany"], env).ended;
    expect(written).toContain(`${escape}[31merror${escape}[39m`);
    expect(written).toContain(`${escape}[1mid${escape}[22m`);
    expect((await start(["db", "--help"], env).ended).written).toContain(`${escape}[1mUsage:`);
  });

  it.each([
    ["--no-color", ["--no-color"], {}],
    ["NO_COLOR", [], { NO_COLOR: "1" }],
    ["TERM=dumb", [], { TERM: "dumb" }],
  ])("%s leaves the colours out, of the help too", async (_, flags, more: Record<string, string>) => {
    await test.aJob({ status: "error" });
    for (const args of [["db", "outbox", "findMany", ...flags], ["jobs:drain", "--help", ...flags]]) {
      expect((await start(args, { ...env, ...more }).ended).written).not.toContain(escape);
    }
  });

  it("piped, or as JSON, there are none", async () => {
    await test.aJob({ status: "error" });
    expect((await cli(["db", "outbox", "findMany"], env)).stdout).not.toContain(escape);
    expect((await start(["db", "outbox", "findMany", "--json"], env).ended).written).not.toContain(escape);
  });

  it("what data has in it cannot colour, move or clear", async () => {
    await test.aJob({ type: `a${escape}[31mb${escape}[2J\u009b5m` });
    const { screen, written } = await start(["db", "outbox", "findMany", '{"select":{"type":true}}'], env).ended;
    expect(screen).toContain("a\\u001b[31mb\\u001b[2J\\u009b5m");
    expect(written).not.toContain(`${escape}[31m`);
  });

  it("jobs:drain says what it has done, which it does not in a crontab", async () => {
    await test.aJob({ type: "notification.send", payload: { userId: "u", type: "t", message: "m" } });
    const { code, screen } = await start(["jobs:drain"], env).ended;
    expect(code).toBe(0);
    expect(screen).toMatch(/1 done/);
    expect(await cli(["jobs:drain"], env)).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  it("--no-input never asks: what needs a yes is refused as it is off a terminal", async () => {
    const id = await test.aJob({ status: "done", finished_at: long });
    for (const args of [["jobs:prune", "--older-than", "1h", "--no-input"], ["--no-input", "jobs", "prune", "--older-than", "1h"]]) {
      const { code, screen } = await start(args, env).ended;
      expect(code).toBe(2);
      expect(screen).toContain("--yes");
      expect(screen).not.toContain("[y/N]");
    }
    expect(await test.job(id)).toMatchObject({ status: "done" });
  });
});

const noPsql = spawnSync("psql", ["--version"]).status !== 0;
describe.skipIf(noPsql)(`the embedded Postgres${noPsql ? " (not tested: psql is not installed here)" : ""}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "terminal-"));
    await chmod(folder, 0o755); // root's server runs as another user, who must get here
  });
  afterAll(async () => {
    await cli(["db:stop"], { DATA_DIR: folder });
    await rm(folder, { recursive: true, maxRetries: 3 });
  });

  it("db:psql is psql: Ctrl-C ends its statement, not itself; its exit code is ours", { timeout: 60_000 }, async () => {
    const terminal = start(["db:psql"], { DATA_DIR: folder, PAGER: "", PSQLRC: "/dev/null", PSQL_HISTORY: "/dev/null" });
    await terminal.seen(/=[#>]$/);
    terminal.type(`select pg_sleep(300);${keys.enter}`);
    await terminal.seen(/pg_sleep\(300\);\n?$/);
    terminal.type(keys.ctrlC);
    await terminal.seen(/canceling statement due to user request/);
    terminal.type(`select 40 + 2 as n;${keys.enter}`);
    await terminal.seen(/\n *42\n/);
    terminal.type(`\\q${keys.enter}`);
    expect(await terminal.ended).toMatchObject({ code: 0, signal: 0 });
    expect((await cli(["db:psql", "--", "-c", "select nonsense"], { DATA_DIR: folder })).code).toBe(1);
  });

  it("db:reset asks before it deletes everything", { timeout: 60_000 }, async () => {
    const terminal = start(["db:reset"], { DATA_DIR: folder });
    await terminal.seen("Delete all data of the embedded Postgres");
    terminal.type(`n${keys.enter}`);
    expect(await terminal.ended).toMatchObject({ code: 2 });
    expect((await cli(["db:status", "--json"], { DATA_DIR: folder })).stdout).not.toContain('"new"');
  });
});
