// A run with canaries: every setting that is secret, every payload and every error holds one, and the built program is used as
// people use it. Then all that it has written, answered, stored of failures and traced is searched: there is none in it.
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { run as runCommand } from "../../src/commands/index.ts";
import { memoryIo } from "../commands/db-outbox/harness.ts";
import type { LocalServer } from "../handlers/local-server.ts";
import { serve } from "../handlers/local-server.ts";
import { canary, leaksIn } from "../support/canaries.ts";
import type { Ended, Running } from "../support/cli.ts";
import { root, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { TestSmtp } from "../support/smtp.ts";
import { startSmtp } from "../support/smtp.ts";
import { until } from "../support/until.ts";

const token = (role: string) => `${canary}-${role}-${"0123456789abcdef".repeat(2)}`;
const password = `${canary}-db/@:pass word"<&>`;
const smtpPassword = `${canary} smtp"<&>pass`;
/** In payloads, where it may be seen by who looks at a job; in no log, measure or trace. */
const marked = "p4yload-m4rk";
const role = `postcommit_canary_${randomBytes(6).toString("hex")}`;

let test: TestOutbox;
let origin: LocalServer;
let smtp: TestSmtp;
let folder: string;
let env: Record<string, string>;
/** Everything that any of the processes wrote or answered, by what it was. */
const written: { readonly by: string; readonly text: string }[] = [];
const running: Running[] = [];

beforeAll(async () => {
  test = await testOutbox();
  folder = await mkdtemp(join(tmpdir(), "canaries-"));
  await writeFile(join(folder, "outbox.config.ts"), `export { default } from ${JSON.stringify(join(import.meta.dirname, "canary-app/outbox.config.ts"))};`);
  await symlink(join(root, "prisma"), join(folder, "prisma")); // for what asks which migrations there are
  origin = await serve(({ method, url, headers, body }, response) => response.writeHead(500).end([method, url, JSON.stringify(headers), body].join("\n")));
  const echo = `no ${smtpPassword}`;
  smtp = await startSmtp({ data: { code: 451, text: echo } }, { onAuth: (_auth, _session, done) => done(null, { user: "ann" }) });
  await test.pool.query(`create role ${role} login password '${password}' in role current_user`);
  env = {
    CANARY: canary,
    ORIGIN: origin.origin,
    DATABASE_URL: Object.assign(new URL(test.url), { username: role, password }).href,
    SMTP_URL: `smtp://ann:${encodeURIComponent(smtpPassword)}@127.0.0.1:${smtp.port}`,
    MAIL_FROM: "no-reply@acme.example",
    WEBHOOK_SECRET: `whsec_${Buffer.from(`${canary}-0123456789-0123456789`).toString("base64")}`,
    WEBHOOK_ALLOW_PRIVATE: "true",
    PAYMENT_API_URL: origin.origin,
    PAYMENT_API_KEY: `sk_test_${canary}_key`,
    JOBS_HEARTBEAT_URL: `${origin.origin}/ping/${canary}-ping`,
    HTTP_TOKENS_VIEW: `ops:${token("view")}`,
    HTTP_TOKENS_OPERATE: token("operate"),
    HTTP_TOKENS_RUN: token("run"),
    LOG_LEVEL: "debug",
    LOG_FORMAT: "json",
    DATA_DIR: folder,
    SPANS_FILE: join(folder, "spans"),
  };
});
afterAll(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await Promise.all([origin.close(), smtp[Symbol.asyncDispose]()]);
  await test.pool.query(`drop owned by ${role}; drop role ${role}`);
  await test.close();
  await rm(folder, { recursive: true });
});

afterEach(() => {
  vi.unstubAllEnvs();
  written.length = 0;
});

function app(args: readonly string[], more: Record<string, string> = {}): Running {
  const process = start("node", [join(import.meta.dirname, "canary-app/cli.js"), ...args], { ...env, ...more });
  running.push(process);
  return process;
}

/** Keeps what it wrote. */
async function kept({ ended }: Running, by: string): Promise<Ended> {
  const end = await ended;
  written.push({ by, text: `${end.stdout}\n${end.stderr}` });
  return end;
}

const run = (args: readonly string[], more: Record<string, string> = {}) => kept(app(args, more), [...args, ...Object.keys(more)].join(" "));

/** The same commands, but in this process, where looking costs no start of a program. */
async function look(args: readonly string[], more: Record<string, string> = {}): Promise<number> {
  for (const [name, value] of Object.entries({ ...env, NODE_ENV: undefined, npm_lifecycle_event: undefined, ...more })) vi.stubEnv(name, value);
  const io = memoryIo();
  const code = await runCommand(args, io, folder);
  written.push({ by: args.join(" "), text: `${io.out()}\n${io.err()}` });
  return code;
}

const leaky = ["throw", "final", "later", "string", "object", "cause", "reject-later", "log", "result"];

async function enqueueAll(): Promise<string[]> {
  const common = { max_attempts: 2 };
  const payloads: [string, object][] = [
    ...leaky.map((then): [string, object] => ["leaky", { then, password: `${canary}-in-the-payload`, note: marked }]),
    ["webhook.send", { url: `${origin.origin}/hook?key=${marked}`, event: "e", data: { password: `${canary}-hook`, note: marked } }],
    ["webhook.send", { endpoint: "crm", event: "e", data: { note: marked } }],
    ["email.send", { to: "ada@example.com", subject: marked, body: marked }],
    ["email.send", { to: `${marked}\r\nBcc: x@y.example`, subject: "s", body: marked }],
    ["data.sync", { source: "s", target: "crm", data: { id: 1, token: `${canary}-row`, note: marked } }],
    ["payment.capture", { paymentIntentId: "pi_1" }],
    ["notification.deliver", { channel: "slack", userId: "ada", type: "t", message: marked }],
    ["notification.deliver", { channel: "whatsapp", userId: "ada", type: "t", message: marked, whatsapp: { to: "+436601234567" } }],
    ["pdf.generate", { template: "invoice", filename: "../x.pdf", data: { secret: `${canary}-pdf`, note: marked } }],
  ];
  const ids: string[] = [];
  for (const [type, payload] of payloads) ids.push(await test.aJob({ type, payload, ...common }));
  return ids;
}

/** What is stored, but for the payloads, results and checkpoints, which are the app's own. */
async function stored(): Promise<string> {
  const rows = async (sql: string) => JSON.stringify((await test.pool.query(sql)).rows);
  return [
    await rows("select to_jsonb(o) - '{payload,result,checkpoint}'::text[] from outbox o"),
    await rows("select to_jsonb(e) - 'result' from outbox_effect e"),
    ...(await Promise.all(["outbox_attempt", "outbox_action", "outbox_worker", "outbox_type", "outbox_schedule"].map((table) => rows(`select * from ${table}`)))),
  ].join("\n");
}

describe("with a canary in every secret", () => {
  let ids: string[];

  it("jobs that fail with all of them leave none in the rows, the log or the traces", { timeout: 90_000 }, async () => {
    ids = await enqueueAll();
    const drained = await run(["jobs:drain", "--summary", "--fail-on", "none"]);
    expect(drained.code).toBe(0);
    const worker = app(["jobs:worker", "--probe-port", "0", "--poll", "100ms"]);
    const base = (await worker.seen(/http:\S+\/metrics/)).replace("/metrics", "");
    await until("all have ended", async () => {
      await test.pool.query("update outbox set run_at = now() where status = 'pending' and run_at > now()");
      return (await test.jobs(`status in ('pending', 'processing') and id in (${ids.map((id) => `'${id}'`).join()})`)).length === 0;
    }, 40_000);
    for (const path of ["/health", "/health/ready", "/metrics"]) written.push({ by: path, text: await (await fetch(`${base}${path}`)).text() });
    worker.child.kill("SIGTERM");
    expect((await kept(worker, "jobs:worker")).code).toBe(0);
    written.push({ by: "rows", text: await stored() }, { by: "spans", text: await readFile(join(folder, "spans"), "utf8") });

    expect((await test.jobs("status = 'error'")).length).toBeGreaterThan(10);
    expect(origin.received.length).toBeGreaterThan(8);
    expect(leaks()).toEqual([]);
    // The log, the measures and the traces know of no payload.
    expect(written.filter(({ by }) => by !== "rows").filter(({ text }) => text.includes(marked)).map(({ by, text }) => [by, around(text)])).toEqual([]);
  });

  it("no command shows one", { timeout: 90_000 }, async () => {
    const [id = ""] = ids;
    const exits = [0, 4];
    const each = [
      ...["config:show", "doctor", "stats", "errors", "health:db", "workers", "types:list", "schedules:list"].flatMap((name) => [[name], [name, "--json"]]),
      ...[["jobs:list", "--all", "--json"], ["jobs:why", id], ["db", "outbox", "findMany", '{"take":50}'], ["jobs:retry", "--status", "error", "--dry-run"], ["jobs:cancel", "--id", id, "--yes"]],
      ...ids.flatMap((job) => [["jobs:get", job, "--stack"], ["jobs:get", job, "--json"]]),
    ];
    for (const args of each) expect([args, exits.includes(await look(args)), written.at(-1)?.text]).toEqual([args, true, expect.anything()]);
    expect(leaks()).toEqual([]);
  });

  it("no answer over HTTP does, nor the log of the server", { timeout: 90_000 }, async () => {
    const server = app(["serve", "--port", "0"]);
    const base = await server.seen(/http:\/\/127\.0\.0\.1:\d+/);
    const ask = async (path: string, by: string, body?: unknown) => {
      const headers = { authorization: `Bearer ${by}`, "content-type": "application/json" };
      const answer = await fetch(`${base}${path}`, { headers, ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }) });
      written.push({ by: path, text: `${JSON.stringify([...answer.headers])} ${await answer.text()}` });
      return answer.status;
    };
    const view = token("view");
    // Beside this app there are no migrations to compare with, so these two cannot say that it is ready.
    const healths = [await ask("/health/ready", view), await ask("/api/monitoring/queue/health", view)];
    expect(healths.every((status) => status >= 500)).toBe(true);
    const statuses = [
      ...(await Promise.all(["/metrics", "/health", "/api/jobs?limit=100", "/api/openapi.json", "/api/monitoring/queue/info", ...ids.map((id) => `/api/jobs/${id}`)].map((path) => ask(path, view)))),
      await ask("/api/jobs", token("operate"), { type: "leaky", payload: { then: "final", password: `${canary}-by-http` } }),
      await ask("/api/jobs/process", token("run"), { action: "process-type", type: "leaky" }),
      await ask("/api/jobs?status=error", view),
      await ask("/api/jobs", `${canary}-unknown-token`),
      await ask("/api/jobs", view, { type: "leaky", payload: 1 }),
      await ask("/api/jobs", token("operate"), { type: "email.send", payload: { password: `${canary}-refused` } }),
    ];
    expect([...new Set(statuses)].sort()).toEqual([200, 201, 401, 403, 422]);
    server.child.kill("SIGTERM");
    expect((await kept(server, "serve")).code).toBe(0);
    expect(leaks()).toEqual([]);
  });

  it.each([
    ["a password that is not the database's", { DATABASE_URL: "postgresql://nobody:c4nary-wrong@HOST" }],
    ["a database where nobody is", { DATABASE_URL: "postgresql://nobody:c4nary-gone@127.0.0.1:1/db" }],
    ["a URL that is none", { DATABASE_URL: "postgresql://nobody:c4nary@none@:x/db" }],
    ["a password that breaks the URL", { DATABASE_URL: "postgresql://nobody:12/c4nary@127.0.0.1/db", SMTP_URL: "smtp://ann:25/c4nary@127.0.0.1", PAYMENT_API_URL: "https://me:1/c4nary@127.0.0.1" }],
    ["mail settings that will not do", { SMTP_URL: "smtp://ann:c4nary@:99999/x" }],
    ["signing secrets that will not do", { WEBHOOK_SECRET: "whsec_c4nary" }],
    ["tokens that will not do", { HTTP_TOKENS_VIEW: "c4nary", HTTP_TOKENS_RUN: "ops:c4nary c4nary-2" }],
    ["a key and a heartbeat that will not do", { PAYMENT_API_KEY: "c4nary with spaces", JOBS_HEARTBEAT_URL: "c4nary" }],
  ])("nor does a command that is started with %s", { timeout: 60_000 }, async (_what, wrong) => {
    const { host } = new URL(test.url);
    const more = Object.fromEntries(Object.entries(wrong).map(([name, value]) => [name, value.replace("HOST", `${host}/db`)]));
    for (const args of [["config:show"], ["doctor"], ["health:db"], ["jobs:list"], ["serve", "--host", "256.1.1.1"]]) await look(args, more);
    expect(written.length).toBe(5);
    expect(leaks()).toEqual([]);
  });
});

const around = (text: string) => new RegExp(`.{0,80}${marked}`).exec(text)?.[0];

/** What was found since the last time. */
function leaks(): [string, string[]][] {
  return written.splice(0).map(({ by, text }): [string, string[]] => [by, leaksIn(text).slice(0, 3)]).filter(([, found]) => found.length > 0);
}
