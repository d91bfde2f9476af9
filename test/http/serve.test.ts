// `serve` as it is run: what it refuses, what it answers, how it stops, and what it bears.
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { appCli, cli, launcher, start } from "../support/cli.ts";
import { layEvidence } from "../support/evidence.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { asking, tokens } from "./support.ts";

let test: TestOutbox;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  await layEvidence(test.pool);
  env = { DATABASE_URL: test.url, HTTP_TOKENS_VIEW: `board:${tokens.view}`, HTTP_TOKENS_OPERATE: tokens.operate, HTTP_TOKENS_RUN: tokens.run };
});
afterAll(() => test.close());
beforeEach(() => test.empty());

/** A server of the handlers of test/support/app, and a way to ask it. */
async function serving(args: readonly string[] = [], more: Record<string, string> = {}) {
  const server = appCli(["serve", "--port", "0", ...args], { ...env, ...more });
  const url = await server.seen(/http:\/\/127\.0\.0\.1:\d+(?=\. Stop)/);
  return { server, url, ...asking((request) => fetch(new Request(request.url.replace("http://localhost", url), request))) };
}

describe("serve refuses to start", () => {
  it.each([
    ["on an address that others reach, without a token", ["--host", "0.0.0.0"], {}, /Expected a token before others can reach the server on 0\.0\.0\.0/],
    ["with a token that is too short", [], { HTTP_TOKENS_RUN: "hunter2" }, /role run to have 32 characters at least, got 7/],
    ["with three of a role", [], { HTTP_TOKENS_VIEW: Array.from({ length: 3 }, (_, n) => String(n).repeat(40)).join(" ") }, /at most 2 tokens/],
  ])("%s: exit 78", async (_, args, more, sentence) => {
    const { code, stderr } = await cli(["serve", "--port", "0", ...args], { DATABASE_URL: test.url, ...more });
    expect(code).toBe(78);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toContain("hunter2");
  });
});

it("config:show masks the tokens, with their names", async () => {
  const { stdout } = await cli(["config:show"], { ...env, HTTP_TOKENS_OPERATE: `on-call:${tokens.operate} next:${"x".repeat(40)}` });
  expect(stdout).toContain("board:***");
  expect(stdout).toContain("on-call:*** next:***");
  for (const secret of [tokens.view, tokens.operate, tokens.run, "xxxx"]) expect(stdout).not.toContain(secret);
});

it("without tokens on this machine only its health is answered, and it says so", async () => {
  const server = start(process.execPath, [launcher, "serve", "--port", "0"], { DATABASE_URL: test.url });
  const url = await server.seen(/http:\/\/127\.0\.0\.1:\d+(?=\. Stop)/);
  await server.seen("There are no tokens");
  expect((await fetch(`${url}/health`)).status).toBe(200);
  for (const path of ["/api/jobs", "/api/jobs/process", "/metrics", "/api/openapi.json"]) expect((await fetch(url + path)).status).toBe(401);
  server.child.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
});

describe("a running server", () => {
  let running: Awaited<ReturnType<typeof serving>>;
  beforeAll(async () => void (running = await serving(["--base-path", "/jobs-admin"])));
  afterAll(async () => {
    running.server.child.kill("SIGTERM");
    expect((await running.server.ended).code).toBe(0);
  });

  it("enqueues, runs and shows, under its base path alone, and writes the ledger", async () => {
    const stored = await running.post("/jobs-admin/api/jobs", { token: tokens.operate, body: { type: "effect", payload: { then: "return" } } });
    expect([stored.status, stored.headers.get("location")]).toEqual([201, `/jobs-admin/api/jobs/${stored.body.id}`]);
    expect((await fetch(`${running.url}/api/jobs`, { headers: { authorization: `Bearer ${tokens.view}` } })).status).toBe(404);
    expect((await running.get("/jobs-admin/api/jobs/process", { token: tokens.run })).body).toMatchObject({ action: "drain", report: { done: 1 } });
    expect((await running.get(stored.headers.get("location") ?? "", { token: tokens.view })).body.status).toBe("done");
    expect((await running.get("/jobs-admin/metrics", { token: tokens.view })).text).toContain("# TYPE");
    expect((await running.get("/jobs-admin/api/monitoring/queue/info", { token: tokens.view })).body.enqueues).toEqual(expect.arrayContaining(["effect", "email.send", "pdf.generate"]));
  });

  it("a body that is longer than it was said to be is no part of the request, and one that is shorter is not waited for", async () => {
    const { port } = new URL(running.url);
    const head = (length: number) => `POST /jobs-admin/api/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.operate}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    const socket = connect(Number(port), "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk.toString()));
    const body = '{"type":"effect","payload":{"then":"return"}}';
    socket.write(`${head(body.length)}${body}GET /evil HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until("both are answered", () => (answer.match(/HTTP\/1\.1 /g) ?? []).length === 2);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 201", "HTTP/1.1 404"]);
    const short = connect(Number(port), "127.0.0.1").resume();
    short.end(`${head(1000)}{`);
    await once(short, "close");
    expect(await test.jobs()).toHaveLength(1);
  });

  it("64 who ask at once for two seconds lose nothing: every answer is a row, and every row was answered", async () => {
    const ids = new Set<string>();
    const statuses = new Map<number, number>();
    const endsAt = performance.now() + 2000;
    await Promise.all(
      Array.from({ length: 64 }, async (_, client) => {
        for (let n = 0; performance.now() < endsAt; n += 1) {
          const response = await fetch(`${running.url}/jobs-admin/api/jobs`, { method: "POST", headers: { authorization: `Bearer ${tokens.operate}`, "content-type": "application/json" }, body: JSON.stringify({ type: "effect", payload: { then: "return", client, n } }) });
          const { id } = (await response.json()) as { id: string };
          ids.add(id);
          statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
          const seen = await fetch(`${running.url}/jobs-admin/api/jobs/${id}`, { headers: { authorization: `Bearer ${tokens.view}` } });
          expect(((await seen.json()) as { payload: unknown }).payload).toEqual({ then: "return", client, n });
        }
      }),
    );
    expect([...statuses.keys()]).toEqual([201]);
    const { rows } = await test.pool.query<{ id: string }>("select id from outbox");
    expect(new Set(rows.map(({ id }) => id))).toEqual(ids);
    expect(ids.size).toBeGreaterThan(64);
  });
});

describe("stopping", () => {
  it("lets what runs end within its time, answers it, and takes nothing new", async () => {
    const { server, url, ...ask } = await serving(["--drain-timeout", "1s"]);
    const { body } = await ask.post("/api/jobs", { token: tokens.operate, body: { type: "effect", payload: { then: "hang" } } });
    const asked = ask.post("/api/jobs/process", { token: tokens.run });
    await until("the job runs", async () => (await test.job(body.id)).status === "processing");
    server.child.kill("SIGTERM");
    expect((await asked).body.report).toMatchObject({ released: 1, stopReason: "signal" });
    expect((await server.ended).code).toBe(0);
    expect(await test.job(body.id)).toMatchObject({ status: "pending", attempts: 0 });
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  it("a second signal ends it at once", async () => {
    const { server, ...ask } = await serving();
    const { body } = await ask.post("/api/jobs", { token: tokens.operate, body: { type: "effect", payload: { then: "hang" } } });
    const asked = ask.post("/api/jobs/process", { token: tokens.run }).catch((error: unknown) => error);
    await until("the job runs", async () => (await test.job(body.id)).status === "processing");
    server.child.kill("SIGTERM");
    await server.seen("Stopping on SIGTERM");
    server.child.kill("SIGTERM");
    expect((await server.ended).code).toBe(143);
    expect(await asked).toBeInstanceOf(Error);
  });

  it("what goes wrong is in its log by the request id, and not in the answer", async () => {
    const { server, ...ask } = await serving([], { DATABASE_URL: "postgresql://ada:hunter2@127.0.0.1:1/x" });
    const answer = await ask.get("/api/jobs", { token: tokens.view, headers: { "x-request-id": "find-me" } });
    expect([answer.status, answer.body.requestId]).toEqual([503, "find-me"]);
    await server.seen(/find-me.*ECONNREFUSED/);
    server.child.kill("SIGTERM");
    const { stderr } = await server.ended;
    expect(stderr).not.toContain("hunter2");
  });
});
