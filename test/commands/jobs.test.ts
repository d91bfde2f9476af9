// jobs:list, get, why, enqueue, retry, cancel and resolve as people type them.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { cli } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import { start } from "../support/pty.ts";
import { until } from "../support/until.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "jobs-"));
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

const dead = (columns: Record<string, unknown> = {}) => test.aJob({ type: "email.send", status: "error", attempts: 3, last_error: "Error: connect ECONNREFUSED", finished_at: new Date(), ...columns });
const status = async (id: string) => (await test.job(id)).status;
const noJob = "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61";
const mail = '{"to":"ada@example.com","subject":"Hello","body":"It works."}';

async function type(args: readonly string[], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(args, io, root);
  return { code, out: io.out(), err: io.err() };
}

describe("jobs:list", () => {
  it("without flags shows all, newest first, without payloads, as TSV off a terminal", async () => {
    await test.aJob({ id: "00000000-0000-7000-8000-000000000001", payload: { secret: "s3cret" } });
    await dead({ id: "00000000-0000-7000-8000-000000000002", last_error: "Error: \u001b[2Jcleared" });
    const { code, out } = await type(["jobs:list"]);
    const [header, ...lines] = out.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
    expect(code).toBe(0);
    expect(header).toEqual(["id", "type", "status", "attempts", "createdAt", "dueAt", "lastError", "finishedAt", "owner", "key", "orderingKey", "tags"]);
    expect(lines.map((line) => [line[0]?.at(-1), line[1], line[2], line[3], line[6]])).toEqual([["2", "email.send", "error", "3/3", "Error: \\u001b[2Jcleared"], ["1", "work", "pending", "0/3", ""]]);
    expect(out).not.toContain("s3cret");
  });

  it("with the flags of jobs:retry shows what that would be about", async () => {
    const ids = [await dead(), await dead({ owner: "ada" }), await dead({ last_error: "Error: other" })];
    const flags = ["--type", "email.send", "--status", "error", "--error", "econnrefused"];
    const listed = JSON.parse((await type(["jobs:list", ...flags, "--json"])).out) as { id: string }[];
    const { out } = await type(["jobs:retry", ...flags, "--dry-run", "--json"]);
    expect(listed.map(({ id }) => id).sort()).toEqual(ids.slice(0, 2).sort());
    expect(JSON.parse(out)).toMatchObject({ dryRun: true, count: 2 });
  });

  it("says how to go on when there are more", async () => {
    await test.pool.query("insert into outbox (type, payload) select 'work', '{}' from generate_series(1, 4)");
    const { out, err } = await type(["jobs:list", "--limit", "3", "--ndjson"]);
    const ids = out.trimEnd().split("\n").map((line) => (JSON.parse(line) as { id: string }).id);
    expect(ids).toHaveLength(3);
    expect(err).toBe(`Only the first 3. For more: --limit, or --after ${ids[2]}\n`);
    expect(JSON.parse((await type(["jobs:list", "--after", ids[2]!, "--json"])).out)).toHaveLength(1);
  });

  it.each([
    [["--status", "failed"], "Expected waiting, pending, processing, done, error, cancelled"],
    [["--payload", "to"], "Expected a path and a value"],
    [["--payload", "a..b=1"], "a path into the payload"],
    [["--older-than", "soon"], "Expected a duration"],
    [["--id", "17"], "a UUID"],
    [["--limit", "0"], "Expected a whole number from 1"],
    [["--limit", "5000"], "from 1 to 1000"],
    [["--all", "--type", "work"], "either --all or other selection flags"],
  ])("%j is refused with what was expected, exit 2", async (flags, message) => {
    const { code, err, out } = await type(["jobs:list", ...flags]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(message);
  });
});

describe("jobs:get", () => {
  it("shows the job, its secrets redacted, its effects, and what happened to it in order", async () => {
    const id = await dead({ payload: { to: "ada@example.com", password: "s3cret" }, result: { token: "t0ken" } });
    await test.pool.query("insert into outbox_attempt (job_id, attempt, outcome, error_class, message, stack, started_at) values ($1, 3, 'dead', 'Error', 'no', 'Error: no\n    at send (/app/mail.ts:3:1)', clock_timestamp())", [id]);
    await test.pool.query("insert into outbox_effect (job_id, name, state, attempt, result) values ($1, 'capture', 'in doubt', 3, '{\"secret\":\"s3cret\"}')", [id]);
    await test.outbox.retry({ id }, { actor: "ada@host", reason: "mended" });
    const { code, out } = await type(["jobs:get", id]);
    expect(code).toBe(0);
    expect(out).not.toMatch(/s3cret|t0ken/);
    expect(out).toContain('payload       {"to":"ada@example.com","password":"[redacted]"}');
    expect(out.slice(out.indexOf("Timeline")).split("\n").slice(2, -1).map((line) => line.split("\t").slice(1))).toEqual([
      ["enqueued", "", "", ""],
      ["started", "3", "", ""],
      ["dead", "3", "Error: no", ""],
      ["jobs:retry", "", "mended", "ada@host"],
    ]);
    expect((await type(["jobs:get", id, "--reveal"])).out).toContain("s3cret");
    expect((await type(["jobs:get", id, "--stack"])).out).toContain("  at send (/app/mail.ts:3:1)");
    expect(JSON.parse((await type(["jobs:get", id, "--json"])).out)).toMatchObject({ id, payload: { password: "[redacted]" }, effects: [{ name: "capture", state: "in doubt" }], timeline: [{ what: "enqueued" }, {}, {}, {}] });
  });

  it("has a change by `db outbox updateMany` on the timeline too", async () => {
    const id = await dead();
    await type(["db", "outbox", "updateMany", '{"where":{"status":"error"},"data":{"status":"pending"}}']);
    expect((await test.outbox.get(id))?.timeline.map(({ what }) => what)).toEqual(["enqueued", "db outbox updateMany"]);
  });
});

it.each([["jobs:get", noJob], ["jobs:why", noJob], ["jobs:resolve", noJob, "capture", "--happened", "no", "--yes"]])("%s of no job: exit 5, and why that may be", async (...args) => {
  const { code, out, err } = await type(args);
  expect([code, out]).toEqual([5, ""]);
  expect(err).toBe(`There is no job ${noJob}: the transaction that enqueued it has not committed, was rolled back, or the job was pruned.\n`);
});

describe("jobs:why", () => {
  it("prints each gate with the command that lifts it, and that command does", async () => {
    const id = await dead({ last_error: "Error: \u001b]0;title\u0007" });
    const { code, out } = await type(["jobs:why", id]);
    expect(code).toBe(0);
    expect(out).toMatch(/^email\.send .* is error\.\nfinished {2}It is a dead letter: .*Error: \\u001b\]0;title\\u0007\n {10}npm run app:cli -- jobs:retry --id /);
    const line = out.trimEnd().split("app:cli -- ")[1]!;
    expect((await type([...line.split(" "), "--yes"])).code).toBe(0);
    expect(await status(id)).toBe("pending");
    expect(JSON.parse((await type(["jobs:why", id, "--json"])).out)).toMatchObject({ id, status: "pending", gates: [{ gate: "no worker" }] });
  });
});

describe("jobs:enqueue", () => {
  it("stores a job with all its options, and prints its id and nothing else", async () => {
    const { code, out, err } = await type(["jobs:enqueue", "email.send", mail, "--key", "k", "--owner", "ada", "--tag", "a,b", "--priority", "high", "--delay", "1h", "--max-attempts", "7", "--ordering-key", "line"]);
    expect([code, err]).toEqual([0, ""]);
    expect(await test.outbox.get(out.trim())).toMatchObject({ status: "pending", owner: "ada", tags: ["a", "b"], priority: 10, maxAttempts: 7, dedupeKey: "k", orderingKey: "line" });
  });

  it("takes the payload from a file or from stdin", async () => {
    const file = join(root, "mail.json");
    await writeFile(file, mail);
    for (const [input, terminal] of [[`@${file}`, {}], ["-", { stdin: mail }]] as const) {
      expect((await type(["jobs:enqueue", "email.send", input], terminal)).code).toBe(0);
    }
    expect((await test.jobs()).map(({ payload }) => payload)).toEqual([JSON.parse(mail), JSON.parse(mail)]);
  });

  it("says so when another job holds the key, and prints its id", async () => {
    const first = await type(["jobs:enqueue", "email.send", mail, "--key", "k"]);
    const second = await type(["jobs:enqueue", "email.send", mail, "--key", "k", "--json"]);
    expect(JSON.parse(second.out)).toEqual({ id: first.out.trim(), deduplicated: true });
    expect(second.err).toContain("holds the dedupe key");
  });

  it.each([
    [["email.sendd", mail], 'Did you mean "email.send"?'],
    [["email.send", "{}"], "payload.to"],
    [["email.send", "{to:1}"], "The JSON is wrong at line 1"],
    [["email.send", mail, "--run-at", "2026-12-01"], "an instant such as"],
    [["email.send", mail, "--priority", "urgent"], 'a whole number from -32768 to 32767, got "urgent"'],
    [["email.send", mail, "--priority", ""], 'got ""'],
    [["email.send", mail, "--priority", "1e2"], 'got "1e2"'],
    [["email.send", mail, "--priority", "toString"], 'got "toString"'],
    [["email.send", mail, "--key-for", "1h"], "Expected --key beside --key-for"],
    [["email.send", mail, "--delay", "1h", "--run-at", "2026-12-01T08:00Z"], "either runAt or delay"],
  ])("%j is refused, exit 2, and nothing is stored", async (args, message) => {
    const { code, err } = await type(["jobs:enqueue", ...args]);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(await test.jobs()).toEqual([]);
  });

  it("--dry-run checks and stores nothing", async () => {
    expect(await type(["jobs:enqueue", "email.send", mail, "-n"])).toMatchObject({ code: 0, err: "Dry run, nothing was enqueued. The payload fits.\n" });
    expect((await type(["jobs:enqueue", "email.send", "{}", "-n"])).code).toBe(2);
    expect(await test.jobs()).toEqual([]);
  });

  it("--wait prints the result once it is done, exits 3 when it is a dead letter, 1 when it has not ended in time", async () => {
    const waiting = type(["jobs:enqueue", "audit.log", '{"event":"tried"}', "--wait", "20s"]);
    await until("it is stored", async () => (await test.jobs()).length === 1);
    await test.pool.query("update outbox set status = 'done', result = '{\"n\":1}', finished_at = clock_timestamp()");
    expect(await waiting).toMatchObject({ code: 0, out: '{"n":1}\n' });
    const failing = type(["jobs:enqueue", "audit.log", '{"event":"tried"}', "--wait", "20s"]);
    await until("it is stored", async () => (await test.jobs()).length === 2);
    await test.pool.query("update outbox set status = 'error', last_error = 'Error: no' where status = 'pending'");
    expect(await failing).toMatchObject({ code: 3, err: expect.stringContaining("ended as error: Error: no") });
    expect(await type(["jobs:enqueue", "audit.log", '{"event":"tried"}', "--wait", "50ms"])).toMatchObject({ code: 1, err: expect.stringContaining("is still pending") });
  });
});

describe("jobs:retry and jobs:cancel", () => {
  it.each(["jobs:retry", "jobs:cancel"])("%s without a selection is exit 2, never all", async (command) => {
    const id = await dead();
    const { code, err } = await type([command, "--yes"]);
    expect(code).toBe(2);
    expect(err).toContain("Expected a selection of jobs, got none");
    expect(await status(id)).toBe("error");
  });

  it("off a terminal need --yes, and print the line that does it, which works as it stands", async () => {
    const id = await dead({ owner: "o'brien; rm -rf" });
    const { code, err } = await type(["jobs:retry", "--owner", "o'brien; rm -rf", "--reason", "it's mended"]);
    expect(code).toBe(2);
    expect(err).toContain("npm run -s app:cli -- jobs:retry --owner 'o'\\''brien; rm -rf' --yes --reason='it'\\''s mended'");
    expect(await status(id)).toBe("error");
    expect((await type(["jobs:retry", "--owner", "o'brien; rm -rf", "--reason", "it's mended", "--yes"])).code).toBe(0);
    expect(await status(id)).toBe("pending");
  });

  it("take ids as they come, say what was changed and what to run next, and are in the ledger", async () => {
    const ids = [await dead(), await dead()];
    expect(await type(["jobs:retry", ...ids, "--yes"])).toEqual({ code: 0, out: "2\n", err: "Retried 2 jobs. Next: npm run app:cli jobs:drain\n" });
    expect(await type(["jobs:cancel", "--id", ids.join(","), "--yes", "--reason", "enough"])).toEqual({ code: 0, out: "2\n", err: "Cancelled 2 jobs. Next: npm run -s app:cli -- jobs:list --status cancelled\n" });
    expect((await test.outbox.get(ids[0]!))?.timeline.map(({ what, who, detail }) => [what, who, detail])).toEqual([["enqueued", null, null], ["jobs:retry", "ada@example", "one of 2 jobs"], ["jobs:cancel", "ada@example", "enough; one of 2 jobs"]]);
    expect(await type(["jobs:cancel", "--id", ids.join(","), "--yes"])).toMatchObject({ code: 0, out: "0\n", err: "None of the jobs that are selected can be cancelled; nothing was changed.\n" });
  });

  it("more than 1,000 need their number, and only the right one", async () => {
    await test.pool.query("insert into outbox (type, payload, status) select 'work', '{}', 'error' from generate_series(1, 1001)");
    const without = await type(["jobs:retry", "--all", "--yes"]);
    expect([without.code, without.err]).toEqual([2, expect.stringContaining("--confirm=1001")]);
    expect((await type(["jobs:retry", "--all", "--yes", "--confirm", "1000"])).code).toBe(2);
    expect((await test.jobs("status = 'error'")).length).toBe(1001);
    expect(await type(["jobs:retry", "--all", "--yes", "--confirm", "1001"])).toMatchObject({ code: 0, out: "1001\n" });
  });

  it("refuse a status that cannot be changed so, and say which can", async () => {
    expect(await type(["jobs:retry", "--status", "done", "--yes"])).toMatchObject({ code: 2, err: expect.stringContaining("among error, cancelled, pending, got done") });
    expect(await type(["jobs:cancel", "--status", "error", "--yes"])).toMatchObject({ code: 2, err: expect.stringContaining("among waiting, pending, processing, got error") });
  });

  it("on a terminal show what they are about and ask; only a yes is a yes", async () => {
    const id = await dead();
    for (const [answer, code] of [["n\r", 2], ["\r", 2], ["y\r", 0]] as const) {
      const terminal = start(["jobs:retry", "--type", "email.send"], { DATABASE_URL: test.url });
      await terminal.seen("Retry 1 job? [y/N]");
      expect(terminal.screen()).toContain(id);
      terminal.type(answer);
      const { code: exit, screen } = await terminal.ended;
      expect(exit).toBe(code);
      expect(screen).toContain(code === 0 ? "Retried 1 job." : "Nothing was changed.");
      expect(await status(id)).toBe(code === 0 ? "pending" : "error");
    }
  });

  it("when others come while the person thinks, change nothing", async () => {
    await dead();
    const terminal = start(["jobs:retry", "--type", "email.send"], { DATABASE_URL: test.url });
    await terminal.seen("Retry 1 job? [y/N]");
    await dead();
    terminal.type("y\r");
    const { code, screen } = await terminal.ended;
    expect(code).toBe(2);
    expect(screen).toContain("Expected 1 jobs to be changed, found 2. Nothing was changed.");
    expect((await test.jobs("status = 'error'")).length).toBe(2);
  });
});

describe("jobs:resolve", () => {
  const inDoubt = async () => {
    const id = await dead();
    await test.pool.query("insert into outbox_effect (job_id, name, state, attempt) values ($1, 'capture', 'in doubt', 3)", [id]);
    return id;
  };

  it("writes down what a person found out; the next attempt goes by it", async () => {
    const [happened, not] = [await inDoubt(), await inDoubt()];
    expect(await type(["jobs:resolve", happened, "capture", "--happened", "yes", "--result", '{"id":"ch_1"}', "--yes", "--reason", "seen in the provider's list"])).toMatchObject({ code: 0, out: "1\n", err: `Written down. Next: npm run app:cli -- jobs:retry --id ${happened}\n` });
    expect((await type(["jobs:resolve", not, "capture", "--happened", "no", "--yes"])).code).toBe(0);
    expect((await test.outbox.get(happened))?.effects).toMatchObject([{ name: "capture", state: "done", result: { id: "ch_1" } }]);
    expect((await test.outbox.get(not))?.effects).toEqual([]);
    expect((await test.outbox.get(happened))?.timeline.map(({ what }) => what)).toContain("jobs:resolve");
  });

  it("refuses what says nothing or contradicts itself, and an effect that is not in doubt", async () => {
    const id = await inDoubt();
    expect(await type(["jobs:resolve", id, "capture", "--yes"])).toMatchObject({ code: 2, err: expect.stringContaining("--happened yes or --happened no") });
    expect((await type(["jobs:resolve", id, "capture", "--happened", "maybe", "--yes"])).code).toBe(2);
    expect((await type(["jobs:resolve", id, "capture", "--happened", "no", "--result", "1", "--yes"])).code).toBe(2);
    expect((await type(["jobs:resolve", id, "capture", "--happened", "no"])).err).toContain("--happened no --yes");
    expect(await type(["jobs:resolve", id, "refund", "--happened", "no", "--yes"])).toMatchObject({ code: 5, err: expect.stringContaining('no effect "refund" that is begun or in doubt. It has capture (in doubt).') });
    expect((await test.outbox.get(id))?.effects).toMatchObject([{ state: "in doubt" }]);
  });
});

describe("jobs:drain for cron", () => {
  it("--exclusive: the loser runs nothing and exits 0, or 75 when that is asked for", async () => {
    const worker = "01939a3c-0000-7000-8000-000000000001";
    await test.pool.query("insert into outbox_worker (id, host, pid, version, types, lease_ms) values ($1, 'h', 1, 'test', '{}', 30000)", [worker]);
    await test.pool.query("insert into outbox_lock (name, worker) values ('drain', $1)", [worker]);
    await test.aJob({ type: "audit.log", payload: { event: "e" } });
    const env = { DATABASE_URL: test.url };
    expect(await cli(["jobs:drain", "--exclusive"], env)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(await cli(["jobs:drain", "--exclusive", "--summary"], env)).toMatchObject({ code: 0, stdout: "0 jobs run: another exclusive drain runs, 1 still due.\n" });
    expect(await cli(["jobs:drain", "--exclusive", "--fail-if-locked", "--json"], env)).toMatchObject({ code: 75, stdout: expect.stringContaining('"stopReason":"locked"') });
    expect(await cli(["jobs:drain", "--fail-if-locked"], env)).toMatchObject({ code: 2, stderr: expect.stringContaining("Expected --exclusive beside --fail-if-locked") });
  });

  it("on a terminal shows how far it is while it takes long, and takes that away in the end", async () => {
    await test.pool.query("insert into outbox (type, payload, run_at) select 'audit.log', '{\"event\":\"e\"}', clock_timestamp() from generate_series(1, 3000)");
    const terminal = start(["jobs:drain"], { DATABASE_URL: test.url });
    await terminal.seen(/\[[#-]{20}\] +\d+ % {2}\d+ done, 0 retried, 0 dead, \d+ running, \d+\/s/);
    const { code, screen } = await terminal.ended;
    expect(code).toBe(0);
    expect(screen).toBe("3000 done: nothing more is due.");
  });
});

it("without a database: exit 69 and what to check", async () => {
  vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
  for (const args of [["jobs:list"], ["jobs:get", noJob], ["jobs:why", noJob], ["jobs:retry", noJob, "--yes"], ["jobs:cancel", noJob, "--yes"], ["jobs:enqueue", "email.send", mail]]) {
    expect(await type(args)).toMatchObject({ code: 69, out: "", err: expect.stringContaining("The database cannot be reached") });
  }
});

it("a worker's job ends within two seconds of jobs:cancel, in another process", async () => {
  const id = await test.aJob();
  let aborted = 0;
  const worker = test.other.worker({ handlers: [worksBy((_, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve((aborted = Date.now())), { once: true })))] });
  const working = worker.start();
  await until("it runs", async () => (await status(id)) === "processing");
  expect(await cli(["jobs:cancel", id, "--yes"], { DATABASE_URL: test.url })).toMatchObject({ code: 0, stdout: "1\n", stderr: expect.stringContaining("Cancelled 1 job, 1 of them running.") });
  const { rows } = await test.pool.query<{ finished_at: Date }>("select finished_at from outbox where id = $1", [id]);
  await until("its signal has fired", () => aborted > 0);
  expect(aborted - rows[0]!.finished_at.getTime()).toBeLessThan(2000);
  await worker.stop();
  expect(await working).toMatchObject({ cancelled: 1, lost: 0 });
});
