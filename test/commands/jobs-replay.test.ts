// jobs:replay --dry-run in a process of its own: what it tells, and that nothing leaves it.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ReplayReport } from "../../src/service/replay/report.ts";
import type { LocalServer } from "../handlers/local-server.ts";
import { serve } from "../handlers/local-server.ts";
import { launcher, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
let target: LocalServer;
let data: string;
beforeAll(async () => {
  test = await testOutbox();
  target = await serve((_, response) => response.end("{}"));
});
afterAll(async () => {
  await target.close();
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate demo_proposal_copy");
  data = await mkdtemp(join(tmpdir(), "replay-test-"));
});
afterEach(() => rm(data, { recursive: true }));

const begin = (args: readonly string[], env: Record<string, string> = {}) =>
  start(process.execPath, [join(import.meta.dirname, "../support/replay-app/cli.js"), ...args], { DATABASE_URL: test.url, TARGET: target.origin, DATA_DIR: data, ...env });

async function replay(args: readonly string[], env: Record<string, string> = {}): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await begin(args, env).ended;
  return { code, stdout, stderr };
}

async function report(id: string, args: readonly string[] = [], env: Record<string, string> = {}): Promise<ReplayReport & { code: number | null }> {
  const { code, stdout, stderr } = await replay(["jobs:replay", id, "--dry-run", "--json", ...args], env);
  if (!stdout.startsWith("{")) throw new Error(`expected a report, got ${stdout}${stderr}`);
  return { ...(JSON.parse(stdout) as ReplayReport), code };
}

/** The folders that dry runs have left behind. */
const leftovers = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("postcommit-replay-"));

/** Everything that the database holds of jobs, to the byte, with who wrote each row when. */
async function everything(): Promise<unknown> {
  const tables = ["outbox", "outbox_attempt", "outbox_effect", "outbox_action", "outbox_worker", "notification", "audit_log", "demo_proposal_copy"];
  return Promise.all(tables.map(async (table) => (await test.pool.query<object>(`select xmin, ctid, t::text from ${table} as t order by ctid`)).rows));
}

describe("nothing leaves the process", () => {
  it.each([{}, { WITH_PRISMA: "1" }])("of a handler that uses all that its context has, %j; and all of it is told", async (env) => {
    const id = await test.aJob({ type: "stages", payload: { tell: "a word of the payload" }, status: "error", attempts: 3, last_error: "Error: boom" });
    const before = await everything();
    const there = await leftovers();
    const connections = target.connections();
    const told = await report(id, [], env);
    expect(told).toMatchObject({
      code: 0,
      outcome: "done",
      completed: true,
      job: { id, type: "stages", status: "error", attempts: 3, attempt: 4, maxAttempts: 4 },
      result: { seen: 2, paid: 200, token: "[redacted]" },
      requests: [{ method: "POST", url: `${target.origin}/pay`, bodyBytes: 32, body: null, answered: 200 }],
      enqueued: [{ type: "versioned", count: 1 }],
      effects: [{ name: "pay", outcome: "done" }],
      checkpoints: [{ bytes: 8 }],
      progress: [{ percent: 40, note: "soon" }],
      refused: [],
    });
    expect(told.requests[0]?.headers).toEqual(expect.arrayContaining([`Idempotency-Key: ${id}/pay`, "Authorization"]));
    expect(told.writes).toEqual(expect.arrayContaining([{ table: "notification", inserted: 2, updated: 0, deleted: 0 }, expect.objectContaining({ table: "outbox", inserted: 1 })]));
    expect(await everything()).toEqual(before);
    expect(target.connections()).toBe(connections);
    expect(await readdir(data)).toEqual([]);
    expect(await leftovers()).toEqual(there);
  });

  it("HTTP, by whatever client, is answered by something made up", async () => {
    const told = await report(await test.aJob({ type: "try.out", payload: { way: "all" } }));
    expect(told.requests.map(({ method, url, answered }) => `${method} ${url} ${answered}`)).toEqual([`POST ${target.origin}/fetched 200`, `POST ${target.origin}/http 200`, `PUT https://127.0.0.1:${target.port}/https 200`]);
    expect(told.logs).toEqual([{ level: "info", message: "trying", fields: { way: "all" } }]);
    expect(told.code).toBe(0);
  });

  it("everything else is refused, with what it was, and the handler sees why", async () => {
    const connections = target.connections();
    const told = await report(await test.aJob({ type: "try.out", payload: { way: "all" } }), [], { WITH_PRISMA: "1" });
    const { fetch, http, https, ...others } = told.result as Record<string, string>;
    expect({ fetch, http, https }).toEqual({ fetch: "went: number", http: "went: number", https: "went: number" });
    const { write, prismaWrite, ...refused } = others;
    for (const [way, came] of Object.entries(refused)) expect(came, way).toContain("The dry run refused");
    // Connections of the handler's own to the outbox's database: Postgres refuses.
    for (const came of [write, prismaWrite]) expect(came).toContain("read-only transaction");
    expect((await test.pool.query("select from notification")).rowCount).toBe(0);
    const server = `127.0.0.1:${target.port}`;
    expect(told.refused).toEqual([
      ...["tcp", "tls"].map(() => ({ what: "connection", target: server })),
      { what: "connection", target: "/tmp/postcommit-no-such.sock" },
      ...["smtp", "otherPostgres"].map(() => ({ what: "connection", target: server })),
      { what: "process", target: "true" },
      { what: "process", target: "true" },
      { what: "thread", target: "" },
      { what: "datagram", target: server },
      { what: "exit", target: "process.exit" },
      { what: "exit", target: "process.kill" },
    ]);
    expect(target.connections()).toBe(connections);
  });

  it.each(["smtp", "spawn", "write", "prismaWrite"])("when the handler fails at what was refused (%s), nobody can tell what the attempt would come to", async (way) => {
    const told = await report(await test.aJob({ type: "try.out", payload: { way } }));
    expect(told).toMatchObject({ code: 3, outcome: "unknown", requests: [] });
    expect(told.failure).not.toBeNull();
  });

  it("but handlers may read from the outbox's database by clients of their own", async () => {
    const told = await report(await test.aJob({ type: "odd", payload: { how: "read" } }));
    expect(told).toMatchObject({ code: 0, outcome: "done", result: { jobs: 1, too: 1 }, refused: [] });
    expect(told.readers).toBeGreaterThan(0);
  });
});

describe("what the attempt would come to", () => {
  it("a failure: retried after the contract's backoff, or a dead letter when it is the last attempt or final", async () => {
    const first = await report(await test.aJob({ type: "odd", payload: { how: "fail" } }));
    expect(first).toMatchObject({ code: 3, outcome: "retried", failure: { message: "attempt 1 of 3, null" } });
    expect(first.delayMs).toBeGreaterThan(7000);
    const last = await report(await test.aJob({ type: "odd", payload: { how: "fail" }, attempts: 2, last_error: "Error: before" }));
    expect(last).toMatchObject({ code: 3, outcome: "dead", failure: { message: "attempt 3 of 3, Error: before" } });
    expect(await report(await test.aJob({ type: "odd", payload: { how: "final" } }))).toMatchObject({ code: 3, outcome: "dead", failure: { errorClass: "FinalError" } });
  });

  it("a snooze is no failure", async () => {
    expect(await report(await test.aJob({ type: "odd", payload: { how: "snooze" } }))).toMatchObject({ code: 0, outcome: "snoozed", delayMs: 300_000 });
  });

  it("a handler that never settles ends with the time that it was given", async () => {
    expect(await report(await test.aJob({ type: "odd", payload: { how: "hang" } }), ["--timeout", "300ms"])).toMatchObject({ code: 3, outcome: "unfinished", timedOut: true });
  });

  it("an error that no promise holds would end a worker; a promise that nobody awaits is told of", async () => {
    expect(await report(await test.aJob({ type: "odd", payload: { how: "crash" } }))).toMatchObject({ code: 3, outcome: "crashed", failure: { message: "out of the blue" } });
    expect(await report(await test.aJob({ type: "odd", payload: { how: "reject" } }))).toMatchObject({ code: 0, outcome: "done", notes: ["The handler left a rejected promise behind: nobody awaits this"] });
  });

  it("a payload goes through migrate and the schema, as in a real attempt", async () => {
    expect(await report(await test.aJob({ type: "versioned", payload: { name: "Ada" }, version: 1 }))).toMatchObject({ code: 0, result: { fullName: "Ada" } });
    expect(await report(await test.aJob({ type: "versioned", payload: {}, version: 2 }))).toMatchObject({ code: 0, result: { fullName: "nobody" } });
    expect(await report(await test.aJob({ type: "versioned", payload: { fullName: 1 }, version: 2 }))).toMatchObject({ code: 3, outcome: "dead", failure: { errorClass: "PayloadError" } });
    expect((await report(await test.aJob({ type: "versioned", payload: {}, version: 3 }))).notes[0]).toContain("a worker of it would leave the job to newer ones");
  });

  it("an effect of an earlier attempt is taken from the ledger, or in doubt, as it would really be", async () => {
    const ledger = async (state: string) => {
      const id = await test.aJob({ type: "stages", attempts: 1 });
      await test.pool.query("insert into outbox_effect (job_id, name, state, attempt, result) values ($1, 'pay', $2, 1, '201')", [id, state]);
      return report(id);
    };
    expect(await ledger("done")).toMatchObject({ code: 0, result: { paid: 201 }, effects: [{ name: "pay", outcome: "from the ledger" }], requests: [] });
    expect(await ledger("begun")).toMatchObject({ code: 3, outcome: "dead", failure: { errorClass: "InDoubtError" }, requests: [] });
  });

  it("says that it is not sure when the handler has got over a refusal", async () => {
    const { code, stdout } = await replay(["jobs:replay", await test.aJob({ type: "odd", payload: { how: "swallow" } }), "--dry-run"]);
    expect(code).toBe(0);
    expect(stdout).toContain("It went on without what was refused");
  });
});

describe("the built-in types", () => {
  it("webhook.send: which URL, signed under which id; another answer shows another end; --reveal shows the body, never a secret", async () => {
    const id = await test.aJob({ type: "webhook.send", payload: { url: "https://93.184.215.14/hooks/a?key=k1", event: "invoice.paid", data: { n: 1 } } });
    const told = await report(id);
    expect(told).toMatchObject({ code: 0, outcome: "done", requests: [{ method: "POST", url: "https://93.184.215.14/hooks/a?key=[redacted]", body: null }] });
    expect(told.requests[0]?.headers).toContain(`webhook-id: ${id}`);
    expect(await report(id, ["--answer", "503"])).toMatchObject({ code: 3, outcome: "retried", failure: { message: expect.stringContaining("got 503") as string } });
    expect((await report(id, ["--reveal"])).requests[0]?.body).toContain('"invoice.paid"');
    const { stdout } = await replay(["jobs:replay", await test.aJob({ type: "webhook.send", payload: { endpoint: "partner", event: "x", data: null } }), "--dry-run", "--reveal"]);
    expect(stdout).toContain("POST https://partner.example[redacted]");
    expect(stdout).not.toMatch(/Sup3r|canary/);
  });

  it("payment.*: which call, under which Idempotency-Key", async () => {
    const told = await report(await test.aJob({ type: "payment.capture", payload: { paymentIntentId: "pi_3NffrFeUfNV2HibABCDEF", amount: 500 } }));
    expect(told).toMatchObject({ code: 0, requests: [{ method: "POST", url: "https://api.stripe.com/v1/payment_intents/pi_3NffrFeUfNV2HibABCDEF/capture" }], result: { status: "succeeded", amount: 500 } });
    expect(told.requests[0]?.headers).toEqual(expect.arrayContaining(["Authorization", "Idempotency-Key: pi_3NffrFeUfNV2HibABCDEF_capture"]));
    const refused = await report(await test.aJob({ type: "payment.refund", payload: { paymentIntentId: "pi_1" } }), ["--answer", "402", "--answer-body", '{"error":{"type":"card_error","code":"declined","message":"no"}}']);
    expect(refused).toMatchObject({ code: 3, outcome: "dead", failure: { message: expect.stringContaining("card_error / declined") as string } });
  });

  it("data.sync: the pages that it pulls, and the rows that it would write", async () => {
    const pulled = await test.aJob({ type: "data.sync", payload: { source: "crm", target: "copies" } });
    expect(await report(pulled)).toMatchObject({ code: 0, requests: [{ method: "GET", url: "https://crm.example/items?key=[redacted]" }], result: { received: 0 } });
    const page = join(data, "page.json");
    await writeFile(page, JSON.stringify({ data: { items: [1, 2].map((n) => ({ id: String(n), customer: "c", title: "t", amount_cents: 1, version: 1 })) } }));
    expect(await report(pulled, ["--answer-body", `@${page}`])).toMatchObject({ code: 0, result: { received: 2, written: 2 }, writes: [{ table: "demo_proposal_copy", inserted: 2, updated: 0, deleted: 0 }] });
    expect((await test.pool.query("select from demo_proposal_copy")).rowCount).toBe(0);
  });

  it("notification.send and audit.log: the row, and the channels", async () => {
    const sent = await report(await test.aJob({ type: "notification.send", payload: { userId: "u1", type: "t", message: "m", channels: ["ops", "phone"], whatsapp: { to: "+436601234567" } } }));
    expect(sent).toMatchObject({ code: 0, completed: true, enqueued: [{ type: "notification.deliver", count: 2, channels: ["ops", "phone"] }] });
    expect(sent.writes).toContainEqual({ table: "notification", inserted: 1, updated: 0, deleted: 0 });
    expect(await report(await test.aJob({ type: "audit.log", payload: { event: "a.b" } }))).toMatchObject({ code: 0, writes: [{ table: "audit_log", inserted: 1 }] });
    expect((await report(await test.aJob({ type: "notification.deliver", payload: { channel: "ops", userId: "u", type: "t", message: "m" } }))).requests[0]?.url).not.toContain("canary");
  });

  it("email.send: the mail, with its documents from their folder, whether or not there is a mail server", async () => {
    await mkdir(join(data, "documents"));
    await writeFile(join(data, "documents", "a.pdf"), "%PDF-");
    const id = await test.aJob({ type: "email.send", payload: { to: ["ada@example.com"], bcc: "bob@example.com", subject: "Hello", body: "x", attachments: [{ document: "a.pdf" }] } });
    for (const env of [{}, { SMTP_URL: `smtp://127.0.0.1:${target.port}` }]) {
      const told = await report(id, [], env);
      expect(told).toMatchObject({ code: 0, outcome: "done", mails: [{ recipients: 2, subject: "Hello", attachments: 1 }], refused: [] });
    }
    expect(await readdir(data)).toEqual(["documents"]);
  });

  it("pdf.generate: the file, its size and pages, and that it would replace one", async () => {
    await mkdir(join(data, "documents"));
    await writeFile(join(data, "documents", "p.pdf"), "the one before");
    const details = { number: "1", subject: "S", date: "2026-01-02", from: { name: "F" }, to: { name: "T" }, currency: "EUR", items: [{ description: "d", quantity: 1, unitCents: 100 }] };
    const told = await report(await test.aJob({ type: "pdf.generate", payload: { template: "proposal", filename: "p.pdf", data: details } }));
    expect(told).toMatchObject({ code: 0, files: [{ name: "p.pdf", pages: 1, replaces: true }], result: { path: join(data, "documents", "p.pdf") } });
    expect(told.files[0]?.bytes).toBeGreaterThan(1000);
    expect(await readdir(join(data, "documents"))).toEqual(["p.pdf"]);
  });
});

describe("the command", () => {
  it("is a person's report on stdout, with what a handler prints on stderr, and nothing of it can move the cursor", async () => {
    const id = await test.aJob({ type: "stages", payload: { tell: "\u001b[2J" }, status: "error", attempts: 3 });
    const { code, stdout, stderr } = await replay(["replay", id, "--dry-run", "--reveal"]);
    expect(code).toBe(0);
    expect(stdout.split("\n")[0]).toMatch(new RegExp(`^Attempt 4 of 4 at stages ${id} would succeed, completed by the handler itself \\(\\d+ ms\\)\\.$`));
    expect(stdout).toContain("would change   notification: 2 inserted");
    expect(stdout).not.toMatch(/\u001b|on stdout/);
    expect(stderr).toContain("on stdout");
    expect(stderr).toContain(`npm run -s app:cli -- jobs:retry --id ${id}`);
  });

  it("without --dry-run it runs nothing and says what is meant", async () => {
    const id = await test.aJob({ type: "stages" });
    const { code, stdout, stderr } = await replay(["jobs:replay", id]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(`jobs:retry --id ${id}`);
    expect((await test.job(id)).status).toBe("pending");
  });

  it.each([
    [["not-an-id"], 2, "Expected the id of a job"],
    [["00000000-0000-4000-8000-000000000000"], 5, "There is no job"],
    [["00000000-0000-4000-8000-000000000000", "--answer", "99"], 2, "Expected the status of an answer"],
    [["00000000-0000-4000-8000-000000000000", "--answer-body", "@/nowhere"], 2, "Expected a file that can be read"],
  ])("%j ends with %i", async (args, expected, sentence) => {
    const { code, stdout, stderr } = await replay(["jobs:replay", ...args, "--dry-run"]);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
    expect(stderr).toContain(sentence);
  });

  it("ends with 78 without a handler, or with one that does not load, and with 69 without a database", async () => {
    expect(await replay(["jobs:replay", await test.aJob({ type: "nobody.knows" }), "--dry-run"])).toMatchObject({ code: 78, stdout: "" });
    const broken = await replay(["jobs:replay", await test.aJob({ type: "broken" }), "--dry-run"]);
    expect(broken).toMatchObject({ code: 78 });
    expect(broken.stderr).toContain("Cannot find module './gone.ts'");
    expect(await replay(["jobs:replay", "00000000-0000-4000-8000-000000000000", "--dry-run"], { DATABASE_URL: "postgresql://nobody@127.0.0.1:1/none" })).toMatchObject({ code: 69 });
  });

  it("is stopped from the keyboard, rolls back, and clears its folder away", async () => {
    const there = await leftovers();
    const running = begin(["jobs:replay", await test.aJob({ type: "odd", payload: { how: "hang" } }), "--dry-run"]);
    await running.seen("hanging");
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: 130, stdout: expect.stringContaining("was stopped after") as string });
    expect(await leftovers()).toEqual(there);
  });

  it("has its help, with what is not caught", async () => {
    const { code, stdout } = await start(process.execPath, [launcher, "jobs:replay", "--help"]).ended;
    expect(code).toBe(0);
    expect(stdout).toContain("Not caught: files that the handler writes by node:fs");
  });
});
