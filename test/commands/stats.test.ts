// stats as people and programs ask it: once, with thresholds, and on and on.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { readStats } from "../../src/outbox/inspect-stats.ts";
import { launcher, start } from "../support/cli.ts";
import { keys, start as inTerminal } from "../support/pty.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "stats-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  for (const name of ["npm_lifecycle_event", "NODE_ENV", "DATA_DIR"]) vi.stubEnv(name, undefined);
  vi.stubEnv("DATABASE_URL", test.url);
});
afterEach(() => vi.unstubAllEnvs());

async function stats(args: readonly string[] = [], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(["stats", ...args], io, root);
  return { code, out: io.out(), err: io.err() };
}
const ago = (ms: number) => new Date(Date.now() - ms);
const figures = (out: string) => out.trimEnd().split("\n").slice(1).map((line) => line.split("\t"));

async function someJobs(): Promise<void> {
  await test.aJob({ type: "email.send", run_at: ago(90_000) });
  await test.aJob({ type: "email.send", run_at: ago(-90_000) });
  await test.aJob({ type: "pdf\u001b[2J", status: "processing", locked_by: "00000000-0000-0000-0000-000000000001" });
  await test.aJob({ status: "error", finished_at: ago(1000) });
  for (let nth = 0; nth < 6; nth += 1) await test.aJob({ status: "done", finished_at: ago(nth * 1000) });
  await test.aJob({ status: "done", finished_at: ago(3_600_000) });
  await test.pool.query("insert into outbox_attempt (job_id, attempt, outcome) select id, 1, 'dead' from outbox where status = 'error'");
}

describe("stats", () => {
  it("counts jobs by status and by type, and says what is due longest, how fast they run, and which workers there are", async () => {
    await someJobs();
    const { code, out } = await stats();
    expect(code).toBe(0);
    const rows = figures(out);
    expect(rows).toEqual(
      expect.arrayContaining([
        ["jobs", "pending", "2"],
        ["jobs", "processing", "1"],
        ["jobs", "done", "7"],
        ["jobs", "error", "1"],
        ["jobs", "cancelled", "0"],
        ["due", "", "1"],
        ["done/s", "", "0.1"],
        ["failed/s", "", "0"],
        ["workers", "alive", "0"],
        ["pending", "email.send", "2"],
        ["running", "pdf\\u001b[2J", "1"],
        ["dead", "work", "1"],
      ]),
    );
    const [, type, seconds] = rows.find(([figure]) => figure === "oldest due")!;
    expect(type).toBe("email.send");
    expect(Number(seconds)).toBeGreaterThan(89);
  });

  it("--json is one document with the same", async () => {
    await someJobs();
    expect(JSON.parse((await stats(["--json"])).out)).toMatchObject({
      statuses: { pending: { count: 2, estimated: false }, error: { count: 1, estimated: false } },
      due: { count: 1 },
      oldestDue: { type: "email.send" },
      throughput: { overMs: 60_000, done: 6, failed: 1, estimated: false },
      types: [{ type: "email.send", pending: 2 }, { type: "pdf\u001b[2J", running: 1 }, { type: "work", dead: 1 }],
      over: [],
    });
  });

  it("of an empty outbox is all zero; what is not due yet is told as the next", async () => {
    expect(JSON.parse((await stats(["--json"])).out)).toMatchObject({ due: { count: 0 }, oldestDue: null, nextDueAt: null, types: [] });
    const at = ago(-60_000);
    await test.aJob({ run_at: at });
    expect(JSON.parse((await stats(["--json"])).out)).toMatchObject({ due: { count: 0 }, oldestDue: null, nextDueAt: at.toISOString() });
  });

  it("on a terminal fits it, whatever a type is called", async () => {
    await someJobs();
    await test.aJob({ type: `${"wide".repeat(40)}\u202e` });
    const { out } = await stats([], { tty: true, columns: 60 });
    expect(out).toContain("pending       3, of which 2 due");
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(out).not.toContain("\u001b[2J");
  });
});

describe("thresholds", () => {
  it.each([
    [["--max-dead", "1"], 0],
    [["--max-dead", "0"], 4],
    [["--max-pending", "2"], 0],
    [["--max-pending", "1"], 4],
    [["--max-oldest-due", "5m"], 0],
    [["--max-oldest-due", "60s"], 4],
    [["--min-workers", "1"], 4],
    [["--max-dead", "5", "--max-pending", "1"], 4],
  ])("%j ends with %i", async (args, expected) => {
    await someJobs();
    const { code, err } = await stats(args);
    expect([code, err.includes("Next: npm run app:cli")]).toEqual([expected, expected === 4]);
  });

  it.each([
    [["--max-dead", "-1"], "Expected a whole number from 0"],
    [["--max-oldest-due", "long"], "Expected a duration"],
    [["--interval", "10ms", "--watch"], "Expected a time from 200ms"],
    [["--watch", "--max-dead", "0"], "Expected thresholds without --watch"],
    [["extra"], "too many arguments"],
  ])("%j is refused", async (args, sentence) => {
    const { code, out, err } = await stats(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(sentence);
  });
});

describe("of a large table", () => {
  it("estimates what has no index, and counts what has one; estimates bear a mark", async () => {
    await test.pool.query("insert into outbox (type, payload, status, finished_at) select 'work', '{}', case when n % 4 = 0 then 'cancelled' else 'done' end, now() - interval '1 day' from generate_series(1, 4000) as n");
    await test.aJob({ status: "error" });
    await test.aJob();
    await test.pool.query("analyze outbox");
    const { statuses, throughput } = await readStats(test.database, { since: null, smallBytes: 0 });
    expect(statuses.pending).toEqual({ count: 1, estimated: false });
    expect(statuses.error).toEqual({ count: 1, estimated: false });
    expect(statuses.done.estimated && throughput.estimated).toBe(true);
    expect(Math.abs(statuses.done.count - 3000)).toBeLessThan(150);
    expect(Math.abs(statuses.cancelled.count - 1000)).toBeLessThan(150);
  });

  it("finds the jobs that have just finished, at the end of the table and before the heads of the lanes", async () => {
    const id = (seconds: number, n: number) => `${(Date.now() - seconds * 1000).toString(16).padStart(12, "0")}7000800000${n.toString(16).padStart(10, "0")}`;
    await test.aJob({ id: id(7200, 1), status: "done", finished_at: ago(1000), run_at: ago(7_200_000) }); // the last that was run of a backlog
    await test.aJob({ id: id(7100, 2), run_at: ago(7_100_000) }); // the backlog
    await test.aJob({ id: id(1, 3), status: "done", finished_at: ago(500) }); // enqueued and run just now
    await test.aJob({ id: id(1, 4), status: "done", finished_at: ago(120_000) });
    expect((await readStats(test.database, { since: null, smallBytes: 0 })).throughput.done).toBe(2);
  });

  it("counts exactly as far as a threshold asks", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, 12000)");
    expect((await readStats(test.database, { since: null, smallBytes: 0 })).statuses.pending.estimated).toBe(true);
    expect((await readStats(test.database, { since: null, smallBytes: 0, exactUpTo: 15_000 })).statuses.pending).toEqual({ count: 12_000, estimated: false });
  });
});

describe("--watch", () => {
  const watch = (...args: string[]) => start(process.execPath, [launcher, "stats", "--watch", "--interval", "200ms", ...args], { DATABASE_URL: test.url });

  it("piped, appends a line for each look, and ends with 0 when it is told to", async () => {
    const running = watch();
    await running.seen(/(\n20[^\n]*){3}/);
    running.child.kill("SIGINT");
    const { code, stdout, stderr } = await running.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [header, ...lines] = stdout.trimEnd().split("\n").map((line) => line.split("\t"));
    expect(header).toEqual(["at", "pending", "due", "running", "waiting", "dead", "done/s", "failed/s", "oldest due s", "workers"]);
    expect(lines.every((line) => line.length === header!.length)).toBe(true);
  });

  it("--json writes one document a line; what has finished is counted since the look before", async () => {
    const running = watch("--json");
    await running.seen(/\n/);
    await test.aJob({ status: "done", finished_at: new Date(Date.now() + 1000) });
    await running.seen(/"done":1,"estimated":false,"failed":0/);
    running.child.kill("SIGTERM");
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    for (const line of stdout.trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("throughput.donePerSecond");
  });

  it("on a terminal draws over what it drew, never clears the screen, and ends with 0 at Ctrl-C, with the cursor back", async () => {
    await test.aJob({ type: "work" });
    const terminal = inTerminal(["stats", "--watch", "--interval", "200ms"], { DATABASE_URL: test.url });
    await terminal.seen("pending       1, of which 1 due");
    await test.aJob({ type: "another" });
    await terminal.seen("pending       2, of which 2 due");
    await terminal.seen(/another +1/);
    terminal.type(keys.ctrlC);
    const { code, screen, written } = await terminal.ended;
    expect(code).toBe(0);
    expect(screen.match(/^pending/gm)).toHaveLength(1);
    expect(written).not.toContain("\u001b[2J");
    expect(written.lastIndexOf("\u001b[?25h")).toBeGreaterThan(written.lastIndexOf("\u001b[?25l"));
  });

  it("on a terminal that is too small shows as much as fits, in its place", async () => {
    const terminal = inTerminal(["stats", "--watch", "--interval", "200ms"], { DATABASE_URL: test.url }, { rows: 6, columns: 40 });
    await terminal.seen("pending");
    await test.aJob();
    await terminal.seen("pending       1, of which 1 due");
    terminal.type(keys.ctrlC);
    const { code, screen } = await terminal.ended;
    expect([code, screen.match(/^pending/gm)?.length]).toEqual([0, 1]);
  });
});

it("an unreachable database ends with 69", async () => {
  vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
  expect(await stats()).toMatchObject({ code: 69, out: "" });
});
