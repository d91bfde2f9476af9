// errors as people type it: which failures are one group, what is told of it, and what is left out.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { FinalError } from "../../src/index.ts";
import { listFailures, maxFailures } from "../../src/outbox/inspect-failures.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "errors-"));
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

async function errors(args: readonly string[] = [], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(["errors", ...args], io, root);
  return { code, out: io.out(), err: io.err() };
}

interface Group {
  fingerprint: string;
  type: string;
  errorClass: string | null;
  count: number;
  dead: number;
  firstAt: string;
  lastAt: string;
  message: string | null;
  jobId: string;
  topFrame: string | null;
  retry: string | null;
}
const groups = async (args: readonly string[] = []) => (JSON.parse((await errors([...args, "--json"])).out) as { groups: Group[] }).groups;

/** An entry of the ledger, as settle writes it. */
async function failed(jobId: string, columns: { outcome?: string; errorClass?: string | null; message?: string | null; stack?: string; ago?: string } = {}): Promise<void> {
  const { outcome = "dead", errorClass = "Error", message = "boom", stack = null, ago = "0s" } = columns;
  await test.pool.query(
    "insert into outbox_attempt (job_id, attempt, outcome, error_class, message, stack, ended_at) values ($1, 1, $2, $3, $4, $5, clock_timestamp() - $6::interval)",
    [jobId, outcome, errorClass, message, stack, ago],
  );
}

describe("errors", () => {
  it("puts failures of real handlers with one cause into one group, whatever their ids are, and gives the line that retries them", async () => {
    for (const n of [4711, 9]) await test.aJob({ payload: { n }, max_attempts: 1 });
    await test.aJob({ payload: { n: 0 }, max_attempts: 2 });
    const handler = worksBy(({ n = 0 }) => {
      if (n === 0) return Promise.reject(new FinalError("no such order"));
      return Promise.reject(new Error(`Expected a 2xx answer to POST https://a.example/orders/${n}?token=abc${n}, got 500: {"order":${n}}`));
    });
    await test.outbox.drain({ handlers: [handler] });
    const found = await groups();
    expect(found.map(({ type, errorClass, count, dead, topFrame }) => ({ type, errorClass, count, dead, topFrame }))).toEqual(
      expect.arrayContaining([
        { type: "work", errorClass: "Error", count: 2, dead: 2, topFrame: expect.stringContaining("(errors.test)") as string },
        { type: "work", errorClass: "FinalError", count: 1, dead: 1, topFrame: expect.stringContaining("(errors.test)") as string },
      ]),
    );
    expect(found).toHaveLength(2);
    for (const { retry, fingerprint } of found) expect(retry).toBe(`npm run -s app:cli -- jobs:retry --type work --fingerprint ${fingerprint}`);
    const sample = found.find(({ count }) => count === 2)!;
    expect((await test.job(sample.jobId)).last_error).toBe(`Error: ${String(sample.message)}`);
  });

  it("counts a job as dead only where its latest failure is, and only while it is a dead letter", async () => {
    const dead = await test.aJob({ status: "error" });
    await failed(dead, { outcome: "retried", message: "the first cause" });
    await failed(dead, { message: "the second cause" });
    await failed(await test.aJob({ status: "pending" }), { message: "the second cause" });
    const counts = (await groups()).map(({ message, count, dead }) => [message, count, dead]);
    expect(counts).toEqual([["the second cause", 2, 1], ["the first cause", 1, 0]]);
    expect((await groups()).map(({ retry }) => retry === null)).toEqual([false, true]);
  });

  it("knows that snoozed and cancelled attempts are no failures, and that a worker's death is one", async () => {
    const job = await test.aJob();
    await failed(job, { outcome: "snoozed", errorClass: null, message: null });
    await failed(job, { outcome: "cancelled", errorClass: null, message: "by ada@example" });
    await failed(job, { outcome: "lost", errorClass: "WorkerDied", message: "worker died" });
    await failed(job, { outcome: "timed_out", errorClass: "AttemptEnded", message: "the attempt took longer than its limit of 5 ms" });
    expect((await groups()).map(({ errorClass }) => errorClass).sort()).toEqual(["AttemptEnded", "WorkerDied"]);
  });

  it("--type and --since leave out the others; the newest failures come first; --limit says what it left out", async () => {
    const mail = await test.aJob({ type: "email.send" });
    const hook = await test.aJob({ type: "webhook.send" });
    await failed(mail, { message: "old", ago: "25h" });
    await failed(mail, { message: "recent", ago: "30m" });
    await failed(mail, { message: "boom", ago: "2h" });
    await failed(hook, { message: "boom", ago: "1h" });
    const seen = async (...args: string[]) => (await groups(args)).map(({ type, message }) => `${type} ${message}`);
    expect(await seen()).toEqual(["email.send recent", "webhook.send boom", "email.send boom"]);
    expect(await seen("--since", "45m")).toEqual(["email.send recent"]);
    expect(await seen("--since", "7d", "--type", "email.send")).toEqual(["email.send recent", "email.send boom", "email.send old"]);
    expect(await seen("--type", "email.send,webhook.send", "--limit", "1")).toEqual(["email.send recent"]);
    expect((await errors(["--limit", "1"])).err).toBe("2 more groups. --limit shows more.\n");
  });

  it("shows a dead letter that was made by hand under its last error", async () => {
    const letter = await test.aJob({ status: "error", last_error: "given up by ada" });
    await test.aJob({ status: "error", last_error: null });
    const found = await groups();
    expect(found.map(({ message, count, dead, errorClass }) => ({ message, count, dead, errorClass }))).toEqual(
      expect.arrayContaining([
        { message: "given up by ada", count: 0, dead: 1, errorClass: null },
        { message: null, count: 0, dead: 1, errorClass: null },
      ]),
    );
    expect(found.find(({ message }) => message !== null)?.jobId).toBe(letter);
  });

  it("spans the whole time of a group, from its first to its last", async () => {
    const job = await test.aJob();
    await failed(job, { ago: "3h" });
    await failed(job, { ago: "1h" });
    const [{ firstAt, lastAt } = { firstAt: "", lastAt: "" }] = await groups();
    expect(Math.round((Date.parse(lastAt) - Date.parse(firstAt)) / 3_600_000)).toBe(2);
  });

  it("is a paragraph for each group on a terminal, a line when piped, and lets nothing of the data move the cursor", async () => {
    await failed(await test.aJob({ type: "it's\u001b[2J", status: "error" }), { message: "boom\u001b[2J\nsecond line", stack: "Error: boom\n    at pay\u001b[31m (/app/src/pay.ts:1:2)" });
    const { code, out } = await errors([], { tty: true, columns: 100 });
    expect(code).toBe(0);
    const lines = out.split("\n");
    expect(lines[0]).toMatch(/^[\da-f]{12} {2}it's\\u001b\[2J {2}1 failed attempt, 1 dead letter now {2}at 20/);
    expect(lines[1]).toBe("  Error: boom\\u001b[2J\\nsecond line");
    expect(lines[2]).toMatch(/^ {2}in pay\\u001b\[31m \(pay\); for example job [\da-f-]{36}$/);
    expect(lines[3]).toMatch(/^ {2}npm run -s app:cli -- jobs:retry --type 'it'\\''s\\u001b\[2J' --fingerprint [\da-f]{12}$/);
    const [header, line] = (await errors()).out.split("\n").map((row) => row.split("\t"));
    expect(header).toEqual(["fingerprint", "type", "class", "failed", "dead", "first", "last", "job", "frame", "message", "retry"]);
    expect(line).toHaveLength(header?.length ?? 0);
    expect(out).not.toContain("\u001b");
  });

  it("says so when nothing failed, and --json is an empty list", async () => {
    expect(await errors()).toEqual({ code: 0, out: "", err: "Nothing failed in this time.\n" });
    expect((await errors(["--json"])).out).toBe('{"complete":true,"more":0,"groups":[]}\n');
  });

  it.each([
    [["--since", "yesterday"], "Expected a duration"],
    [["--limit", "ten"], "Expected a whole number"],
    [["--limit", "1001"], "Expected limit to be a whole number from 1 to 1000, got 1001"],
    [["--type", ","], "Expected names with commas"],
    [["now"], "too many arguments"],
  ])("refuses %j with exit code 2", async (args, sentence) => {
    const { code, out, err } = await errors(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(sentence);
  });

  it("ends with 69 when the database cannot be reached", async () => {
    vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    expect((await errors()).code).toBe(69);
  });
});

it("looks at the newest 100,000 failures, says that it did, and is done within seconds", async () => {
  await test.pool.query("insert into outbox (type, status, payload) select 'type' || n % 5, 'error', '{}' from generate_series(1, 2000) as n");
  await test.pool.query(`
    insert into outbox_attempt (job_id, attempt, outcome, error_class, message, stack)
    select id, 1, 'retried', 'Error', 'Expected a 2xx answer to POST https://a.example/orders/' || n % 5000 || ', got 50' || n % 4,
      e'Error: boom\\n    at send (/app/node_modules/x/y.js:1:2)\\n    at pay' || n % 3 || ' (/app/src/pay.ts:1:2)'
    from generate_series(1, ${(maxFailures * 1.1) / 2000}) as m
    cross join (select id, row_number() over (order by id) as n from outbox) as job`);
  const startedAt = performance.now();
  const { groups, complete } = await listFailures(test.database, { limit: 1000 });
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  expect(complete).toBe(false);
  expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(maxFailures);
  expect(groups).toHaveLength(5 * 4 * 3);
  expect((await errors(["--limit", "1"])).err).toContain("Not all failures of this time were looked at, only the newest 100,000 entries");
});
