// jobs:prune as people and crontabs type it.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { cli } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "prune-"));
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

const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
const finished = (days: number, columns: Record<string, unknown> = {}) => test.aJob({ status: "done", finished_at: ago(days), ...columns });
const doneJobs = (count: number) => test.pool.query("insert into outbox (type, payload, status, finished_at) select 'work', '{}', 'done', now() - interval '10 days' from generate_series(1, $1)", [count]);
const left = async () => (await test.jobs()).map(({ id }) => id).sort();
const ledger = async () => (await test.pool.query<object>("select actor, action, filter, count, reason from outbox_action order by id")).rows;

/** The command line with streams in memory; `tty` makes them a terminal. */
async function prune(args: readonly string[], terminal: Terminal = {}, folder = root): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(["jobs:prune", ...args], io, folder);
  return { code, out: io.out(), err: io.err() };
}

/** That it ends with exit code 2 and this sentence, and that every job is still there. */
async function expectRefused(args: readonly string[], sentence: string, terminal: Terminal = {}): Promise<void> {
  const before = await left();
  const { code, out, err } = await prune(args, terminal);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(sentence);
  expect(await left()).toEqual(before);
  expect(await ledger()).toEqual([]);
}

describe("without --older-than and --status", () => {
  it("deletes what retention says, never asks, however many there are, and says nothing off a terminal", async () => {
    await doneJobs(1500);
    const kept = [await finished(6), await finished(29, { status: "error" }), await test.aJob({ created_at: ago(400) })];
    expect(await prune([])).toEqual({ code: 0, out: "", err: "" });
    expect(await left()).toEqual(kept.sort());
    expect(await ledger()).toEqual([{ actor: "ada@example", action: "prune", filter: { olderThan: { done: "7d", cancelled: "7d", error: "30d" } }, count: 1500, reason: null }]);
    expect(await prune([])).toEqual({ code: 0, out: "", err: "" });
  });

  it("does not ask on a terminal either, and says what it deleted and what comes next", async () => {
    await finished(8);
    await finished(8, { status: "cancelled" });
    await finished(31, { status: "error" });
    const { code, out, err } = await prune(["--reason", "disk"], { tty: true });
    expect({ code, out }).toEqual({ code: 0, out: "3\n" });
    expect(err).toContain("Deleted 3 jobs (1 done, 1 cancelled, 1 dead letter). Next: npm run app:cli");
    expect(await ledger()).toMatchObject([{ count: 3, reason: "disk" }]);
  });

  it("takes the retention of outbox.config.ts", async () => {
    const folder = await mkdtemp(join(tmpdir(), "prune-"));
    await writeFile(join(folder, "outbox.config.ts"), 'export default { retention: { done: "1h", dead: false } };');
    const dead = await finished(400, { status: "error" });
    await finished(1);
    expect((await prune([], {}, folder)).code).toBe(0);
    expect(await left()).toEqual([dead]);
    expect((await prune(["--status", "error", "--yes"], {}, folder)).err).toContain('Expected olderThan beside the status "error": retention keeps those jobs for ever');
    await rm(folder, { recursive: true });
  });

  it("refuses to start with a retention that is none, exit 78", async () => {
    const folder = await mkdtemp(join(tmpdir(), "prune-"));
    await writeFile(join(folder, "outbox.config.ts"), "export default { retention: { done: 7 } };");
    const { code, err } = await prune([], {}, folder);
    expect(code).toBe(78);
    expect(err).toBe('Expected retention.done to be a duration from "1m" to "36500d", such as "7d", or false to keep them for ever, got 7. A number is milliseconds.\n');
    await rm(folder, { recursive: true });
  });

  it("prints a report with --json", async () => {
    await finished(8);
    await test.pool.query("insert into outbox_slot (schedule, slot_at, job_id, fired_at) values ('daily', $1, $2, $1)", [ago(31), randomUUID()]);
    expect(JSON.parse((await prune(["--json"])).out)).toEqual({ dryRun: false, count: 1, done: 1, cancelled: 0, dead: 0, slots: 1, stopped: false });
  });
});

describe("with --older-than or --status", () => {
  it("is refused off a terminal without --yes, with the line that does it, before a database is asked for", async () => {
    await finished(40);
    vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x");
    await expectRefused(["--older-than", "30d"], "nobody can be asked. Nothing was changed. To run it:\n  npm run -s app:cli -- jobs:prune --older-than 30d --yes");
    await expectRefused(["--status", "done,error", "--reason", "it is full"], "npm run -s app:cli -- jobs:prune --status done,error --yes --reason='it is full'");
  });

  it("asks on a terminal, with samples, and deletes after a yes only", async () => {
    const id = await finished(40);
    const young = await finished(20);
    const no = await prune(["--older-than", "30d"], { tty: true, stdin: "n\n" });
    expect(no).toMatchObject({ code: 2, out: "" });
    expect(no.err).toContain(id);
    expect(no.err).toContain("Delete 1 job (1 done)? [y/N] Nothing was changed.");
    expect(await left()).toHaveLength(2);
    expect(await prune(["--older-than", "30d"], { tty: true, stdin: "y\n" })).toMatchObject({ code: 0, out: "1\n" });
    expect(await left()).toEqual([young]);
    expect(await ledger()).toMatchObject([{ actor: "ada@example", filter: { olderThan: { done: "30d", cancelled: "30d" } }, count: 1 }]);
  });

  it("deletes no more jobs than were there when the question was asked", async () => {
    await finished(40);
    const answer = async () => {
      await finished(40);
      return "y\n";
    };
    expect(await prune(["--older-than", "30d"], { tty: true, whenAsked: answer })).toMatchObject({ code: 0, out: "1\n" });
    expect(await left()).toHaveLength(1);
  });

  it("takes the age from retention when only a status is named", async () => {
    const dead = await finished(29, { status: "error" });
    await finished(31, { status: "error" });
    await finished(400);
    expect(await prune(["--status", "error", "--yes"])).toMatchObject({ code: 0, out: "1\n" });
    expect(await left()).toHaveLength(2);
    expect(await prune(["--status", "error", "--older-than", "28d", "--yes"])).toMatchObject({ code: 0, out: "1\n" });
    expect(await left()).not.toContain(dead);
  });

  it("wants --confirm with the number for more than 1,000 jobs, and the right one", async () => {
    await doneJobs(1001);
    await expectRefused(["--older-than", "1d", "--yes"], "This would change 1001 jobs; more than 1000 need --confirm=1001. Nothing was changed. To run it:\n  npm run -s app:cli -- jobs:prune --older-than 1d --yes --confirm=1001");
    await expectRefused(["--older-than", "1d", "--yes", "--confirm", "1000"], "Expected 1000 jobs, found 1001.");
    await expectRefused(["--older-than", "1d"], "need --confirm=1001", { tty: true, stdin: "y\n" });
    expect(await prune(["--older-than", "1d", "--yes", "--confirm=1001"])).toMatchObject({ code: 0, out: "1001\n" });
    expect(await left()).toEqual([]);
  });

  it("with nothing to delete says so and asks nothing", async () => {
    expect(await prune(["--older-than", "1d"], { tty: true })).toMatchObject({ code: 0, out: "0\n", err: expect.stringMatching(/^Deleted 0 jobs\./) as string });
    expect(await ledger()).toEqual([]);
  });
});

describe("a dry run", () => {
  it("counts by status, shows five samples, and deletes nothing", async () => {
    await doneJobs(7);
    const dead = await finished(31, { status: "error" });
    const { code, out, err } = await prune(["-n"], { tty: true });
    expect({ code, out }).toEqual({ code: 0, out: "8\n" });
    expect(err).toContain("Dry run, nothing was changed. Would delete 8 jobs (7 done, 1 dead letter).");
    expect(err).toContain("… and 3 more.");
    const json = JSON.parse((await prune(["--dry-run", "--status", "error", "--json"])).out) as object;
    expect(json).toMatchObject({ dryRun: true, count: 1, dead: 1, samples: [{ id: dead, status: "error" }] });
    expect(await left()).toHaveLength(8);
    expect(await ledger()).toEqual([]);
  });
});

describe("what cannot be meant", () => {
  it.each([
    [["--status", "pending", "--yes"], 'Expected statuses that are finished (done, cancelled, error), got "pending": only finished jobs are pruned.'],
    [["--status", "done,processing", "--yes"], 'got "processing"'],
    [["--status", "dead", "--yes"], "(done, cancelled, error)"],
    [["--older-than", "soon"], "Expected a duration such as"],
    [["--confirm", "5"], "Expected --confirm with --older-than or --status only"],
    [["--confirm", "none"], "Expected a whole number from 1"],
    [["--all"], "unknown option"],
    [["7d"], "too many arguments"],
  ])("%j is refused, exit 2, and deletes nothing", async (args, sentence) => {
    await finished(400);
    await expectRefused(args, sentence);
  });
});

it("is there for a crontab: the process deletes, writes nothing and exits 0; where the database is away it exits 69", async () => {
  await finished(8);
  expect(await cli(["jobs", "prune"], { DATABASE_URL: test.url })).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect(await left()).toEqual([]);
  const { code, stderr } = await cli(["jobs:prune"], { DATABASE_URL: "postgresql://me@127.0.0.1:1/x" });
  expect(code).toBe(69);
  expect(stderr).toContain("The database cannot be reached");
});
