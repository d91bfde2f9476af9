// Enqueue, look and act by HTTP.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Client } from "./support.ts";
import { clientOf, tokens } from "./support.ts";

let test: TestOutbox;
let client: Client;
/** As the user that the header names. */
let users: Client;
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox);
  users = clientOf(test.outbox, { userTypes: ["greet"], authenticate: (request) => (request.headers.has("x-user") ? { user: request.headers.get("x-user") ?? "" } : null) });
});
afterAll(() => test.close());
beforeEach(() => test.empty());

const operate = { token: tokens.operate };
const view = { token: tokens.view };
const as = (user: string) => ({ headers: { "x-user": user } });

describe("POST /api/jobs", () => {
  it("stores a job with all that can be said of it, and says where it is", async () => {
    const asked = { type: "greet", payload: { name: "Ada" }, priority: "high", runAt: "2099-01-01T01:00:00+01:00", maxAttempts: 7, owner: "u1", orderingKey: "o1", tags: ["a", "b"], dedupeKey: "k1", dedupeFor: "forever" };
    const answer = await client.post("/api/jobs", { ...operate, body: asked });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("location")).toBe(`/api/jobs/${answer.body.id}`);
    const job = (await client.get(answer.headers.get("location") ?? "", view)).body;
    expect(job).toMatchObject({ type: "greet", payload: { name: "Ada" }, status: "pending", priority: 10, runAt: "2099-01-01T00:00:00.000Z", maxAttempts: 7, owner: "u1", orderingKey: "o1", tags: ["a", "b"], dedupeKey: "k1" });
  });

  it("with a delay it is due later", async () => {
    const { body } = await client.post("/api/jobs", { ...operate, body: { type: "work", payload: null, delay: "1h" } });
    expect((await test.job(body.id)).run_at.getTime()).toBeGreaterThan(Date.now() + 3_500_000);
  });

  it("Idempotency-Key is the dedupe key: sent again, the first job is answered by 200, also to fifty at once", async () => {
    const ask = () => client.post("/api/jobs", { ...operate, body: { type: "work", payload: 1 }, headers: { "idempotency-key": "order-1" } });
    const answers = await Promise.all(Array.from({ length: 50 }, ask));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.get("location"))).size).toBe(1);
    expect(await test.jobs()).toMatchObject([{ dedupe_key: "order-1" }]);
  });

  it("another dedupeKey beside Idempotency-Key is refused, and so is the header with a list", async () => {
    const headers = { "idempotency-key": "a" };
    expect((await client.post("/api/jobs", { ...operate, headers, body: { type: "work", payload: 1, dedupeKey: "b" } })).body).toMatchObject({ status: 400, path: "dedupeKey" });
    expect((await client.post("/api/jobs", { ...operate, headers, body: { type: "work", payload: 1, dedupeKey: "a" } })).status).toBe(201);
    expect((await client.post("/api/jobs", { ...operate, headers, body: { jobs: [{ type: "work", payload: 1 }] } })).body).toMatchObject({ status: 400, path: "Idempotency-Key" });
  });

  it("stores many in one transaction: all of them, or with one that does not fit none", async () => {
    const jobs = Array.from({ length: 100 }, (_, n) => ({ type: "work", payload: { n }, ...(n < 2 && { dedupeKey: "same" }) }));
    const answer = await client.post("/api/jobs", { ...operate, body: { jobs } });
    expect(answer.status).toBe(201);
    expect(answer.body.jobs).toHaveLength(100);
    const [{ id } = { id: "" }] = answer.body.jobs;
    expect(answer.body.jobs.slice(0, 2)).toEqual([{ id, deduplicated: false }, { id, deduplicated: true }]);
    expect(await test.jobs()).toHaveLength(99);
    expect((await client.post("/api/jobs", { ...operate, body: { jobs: jobs.slice(0, 2) } })).status).toBe(200);
    await test.empty();
    const refused = await client.post("/api/jobs", { ...operate, body: { jobs: [...jobs, { type: "greet", payload: { name: 1 } }] } });
    expect(refused.body).toMatchObject({ status: 422, code: "payload_refused", path: "jobs[100].payload.name" });
    expect(await test.jobs()).toEqual([]);
  });

  it.each<[string, unknown, Record<string, unknown>]>([
    ["a payload that does not fit", { type: "greet", payload: { name: "Ada", at: { day: "soon" } } }, { status: 422, path: "payload.at.day" }],
    ["a payload with a NUL", { type: "work", payload: { a: ["\u0000"] } }, { status: 422, path: "payload.a[0]" }],
    ["a type that is not registered", { type: "pdf.generate", payload: {} }, { status: 400, path: "type", detail: expect.stringContaining("greet, work") }],
    ["no type", { payload: {} }, { status: 400, path: "type" }],
    ["no payload", { type: "work" }, { status: 400, path: "payload" }],
    ["an unknown option", { type: "work", payload: 1, prioritty: 1 }, { status: 400, detail: expect.stringContaining('"prioritty"') }],
    ["runAt without an offset", { type: "work", payload: 1, runAt: "2026-01-01T00:00:00" }, { status: 400, path: "runAt" }],
    ["runAt and delay", { type: "work", payload: 1, runAt: "2026-01-01T00:00:00Z", delay: 1 }, { status: 400, detail: expect.stringContaining("got both") }],
    ["a priority beyond", { type: "work", payload: 1, priority: 40_000 }, { status: 400, path: "priority" }],
    ["too many tags", { type: "work", payload: 1, tags: Array.from({ length: 21 }, String) }, { status: 400, path: "tags" }],
    ["an empty list", { jobs: [] }, { status: 400, path: "jobs" }],
    ["a list and more", { jobs: [{ type: "work", payload: 1 }], type: "work" }, { status: 400 }],
    ["1,001 jobs", { jobs: Array.from({ length: 1001 }, () => ({ type: "work", payload: 1 })) }, { status: 400, path: "jobs" }],
    ["a text", "work", { status: 400 }],
    ["null", null, { status: 400 }],
    ["more than 1 MB of payload", { type: "work", payload: "x".repeat(1024 * 1024) }, { status: 413 }],
  ])("refuses %s, and stores nothing", async (_, body, problem) => {
    expect((await client.post("/api/jobs", { ...operate, body })).body).toMatchObject(problem);
    expect(await test.jobs()).toEqual([]);
  });

  it.each([
    ["9007199254740993", "9007199254740992"],
    ["-1e400", "Infinity"],
    ["1e-400", "0"],
  ])("refuses the number %s, which JavaScript would make another one, and stores nothing; as a text it passes", async (number, made) => {
    const raw = (payload: string) => ({ ...operate, raw: `{"type":"work","payload":{"customer":${payload}}}`, headers: { "content-type": "application/json" } });
    expect((await client.post("/api/jobs", raw(number))).body).toMatchObject({ status: 400, code: "invalid_request", detail: expect.stringContaining(`would become ${made}. Send it as a text.`) });
    expect(await test.jobs()).toEqual([]);
    expect((await client.post("/api/jobs", raw(JSON.stringify(number)))).status).toBe(201);
  });

  it.each(["0.10000000000000001", "1.50", "-0", "1e3", "9007199254740991"])("the number %s passes", async (number) => {
    const raw = `{"type":"work","payload":[${number}, "1e400"]}`;
    expect((await client.post("/api/jobs", { ...operate, raw, headers: { "content-type": "application/json" } })).status).toBe(201);
    expect((await test.jobs()).map(({ payload }) => payload)).toEqual([[Number(number) + 0, "1e400"]]);
  });

  it("a megabyte of digits is looked through at once", async () => {
    const startedAt = performance.now();
    for (const number of [`1.${"0".repeat(1_000_000)}1`, `1${"0".repeat(1_000_000)}1`]) {
      await client.post("/api/jobs", { ...operate, raw: `{"type":"work","payload":${number}}`, headers: { "content-type": "application/json" } });
    }
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it("1 MB of payload passes", async () => {
    expect((await client.post("/api/jobs", { ...operate, body: { type: "work", payload: "x".repeat(1024 * 1024 - 2) } })).status).toBe(201);
  });
});

describe("GET /api/jobs", () => {
  it("pages through all of them, newest first, by the path of the next page, wherever it is mounted", async () => {
    const { body } = await client.post("/api/jobs", { ...operate, body: { jobs: Array.from({ length: 25 }, (_, n) => ({ type: "work", payload: { n }, tags: ["t"] })) } });
    const seen: string[] = [];
    for (let path: string | null = "/jobs-admin/api/jobs?limit=10&tag=t&payload.x=1"; path !== null; ) {
      const page = await client.get(path.replace("&payload.x=1", ""), view);
      seen.push(...page.body.jobs.map(({ id }: { id: string }) => id));
      path = page.body.next;
      expect(page.headers.get("link")).toBe(path === null ? null : `<${path}>; rel="next"`);
      if (path !== null) expect(path).toMatch(/^\/jobs-admin\/api\/jobs\?/);
    }
    expect(seen).toEqual(body.jobs.map(({ id }: { id: string }) => id).reverse());
  });

  it("finds by every condition of the grammar", async () => {
    const id = await test.aJob({ type: "greet", payload: { customer: { id: 42 }, n: "7" }, status: "error", owner: "ada", dedupe_key: "k", ordering_key: "o", last_error: "Error: no such thing", created_at: new Date(Date.now() - 7_200_000) });
    await test.pool.query("update outbox set tags = '{red,blue}' where id = $1", [id]);
    await test.aJob({ payload: { customer: { id: 43 } } });
    const finds = async (query: string) => (await client.get(`/api/jobs?${query}`, view)).body.jobs.map((job: { id: string }) => job.id);
    for (const query of [`id=${id}`, "type=greet", "type=greet&type=pdf", "status=error&status=done", "owner=ada", "key=k", "orderingKey=o", "tag=red&tag=blue", "olderThan=1h", "error=NO%20SUCH", "payload.customer.id=42", "payload.n=7", "payload.customer.id=41&payload.customer.id=42"]) {
      expect([query, await finds(query)]).toEqual([query, [id]]);
    }
    for (const query of ["type=other", "tag=red&tag=green", "owner=bob", "olderThan=3h", "payload.customer.id=4", "fingerprint=abc"]) expect([query, await finds(query)]).toEqual([query, []]);
    expect((await finds("")).length).toBe(2);
  });

  it.each(["foo=1", "limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "status=odd", "id=1", "after=1", "olderThan=soon", "owner=", "payload.=1", "payload=1", "payload.a..b=1", "all=true", "type="])("refuses %s", async (query) => {
    expect((await client.get(`/api/jobs?${query}`, view)).status).toBe(400);
  });

  it("ends a search that takes too long", async () => {
    const { OutboxError } = await import("../../src/index.ts");
    const slow = clientOf({ ...test.outbox, list: () => Promise.reject(new OutboxError("TOO_SLOW", "The search took longer than 10 s and was ended.")) });
    expect((await slow.get("/api/jobs", view)).body).toMatchObject({ status: 504, code: "too_slow" });
  });
});

describe("GET /api/jobs/{id}", () => {
  it("is 404 for none and 400 for what is no id", async () => {
    expect((await client.get("/api/jobs/01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61", view)).status).toBe(404);
    expect((await client.get("/api/jobs/1;drop%20table", view)).status).toBe(400);
  });

  it("with wait it answers when the job has ended, or after that time with the job as it is", async () => {
    const id = await test.aJob();
    const early = await client.get(`/api/jobs/${id}?wait=50ms`, view);
    expect(early.body.status).toBe("pending");
    const waiting = client.get(`/api/jobs/${id}?wait=20s`, view);
    await test.pool.query("update outbox set status = 'cancelled', finished_at = now() where id = $1", [id]);
    expect((await waiting).body.status).toBe("cancelled");
    expect((await client.get(`/api/jobs/${id}?wait=long`, view)).status).toBe(400);
  });

  it("why says what keeps it from running", async () => {
    const id = await test.aJob({ run_at: new Date(Date.now() + 3_600_000) });
    expect((await client.get(`/api/jobs/${id}/why`, view)).body).toMatchObject({ id, status: "pending", gates: [{ gate: "not due" }, { gate: "no worker" }] });
    expect((await client.get("/api/jobs/01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61/why", view)).status).toBe(404);
  });
});

describe("retry and cancel", () => {
  const ledger = async () => (await test.pool.query<object>("select actor, action, reason, count from outbox_action order by id")).rows;

  it("change one job, and are written into the ledger under the token's name", async () => {
    const named = clientOf(test.outbox, { tokens: { operate: { name: "on-call", token: tokens.operate } } });
    const id = await test.aJob({ status: "error", attempts: 3, max_attempts: 3, finished_at: new Date() });
    expect((await named.post(`/api/jobs/${id}/retry`, { ...operate, body: { reason: "the mail server is back" } })).body).toMatchObject({ id, status: "pending", maxAttempts: 4 });
    expect((await named.post(`/api/jobs/${id}/cancel`, operate)).body).toMatchObject({ id, status: "cancelled" });
    expect(await ledger()).toEqual([
      { actor: "http on-call", action: "jobs:retry", reason: "the mail server is back", count: 1 },
      { actor: "http on-call", action: "jobs:cancel", reason: null, count: 1 },
    ]);
  });

  it("are refused where they mean nothing, and change nothing", async () => {
    const done = await test.aJob({ status: "done" });
    expect((await client.post(`/api/jobs/${done}/retry`, operate)).body).toMatchObject({ status: 409, detail: "Nothing was changed: it was done." });
    expect((await client.post(`/api/jobs/${done}/cancel`, { ...operate, body: {} })).status).toBe(409);
    expect((await client.post("/api/jobs/01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61/cancel", operate)).status).toBe(404);
    expect((await client.post(`/api/jobs/${done}/cancel`, { ...operate, body: { all: true } })).status).toBe(400);
    expect((await client.post(`/api/jobs/${done}/cancel`, { ...operate, body: { reason: "" } })).status).toBe(400);
    const held = await test.aJob({ status: "error", dedupe_key: "k", dedupe_released: true });
    await test.aJob({ dedupe_key: "k", dedupe_until: new Date(Date.now() + 60_000) });
    expect((await client.post(`/api/jobs/${held}/retry`, operate)).body).toMatchObject({ status: 409, detail: expect.stringContaining("dedupe key") });
    expect((await client.get(`/api/jobs/${held}/retry`, operate)).status).toBe(405);
  });
});

describe("users of the app", () => {
  it("see and change their own jobs, and are refused another's by 403", async () => {
    const own = await test.aJob({ owner: "ada", payload: { name: "Ada", password: "hunter2" }, last_error: "connect ECONNREFUSED 10.0.0.3:5432", status: "error", attempts: 1 });
    const other = await test.aJob({ owner: "bob" });
    const nobodys = await test.aJob();
    const seen = await users.get(`/api/jobs/${own}`, as("ada"));
    expect(seen.status).toBe(200);
    expect(Object.keys(seen.body).sort()).toEqual(["attempts", "createdAt", "finishedAt", "id", "maxAttempts", "payload", "progress", "progressNote", "result", "runAt", "startedAt", "status", "tags", "type"]);
    expect(seen.body.payload).toEqual({ name: "Ada", password: "[redacted]" });
    for (const id of [other, nobodys]) {
      expect((await users.get(`/api/jobs/${id}`, as("ada"))).status).toBe(403);
      expect((await users.post(`/api/jobs/${id}/cancel`, as("ada"))).status).toBe(403);
      expect((await users.post(`/api/jobs/${id}/retry`, as("ada"))).status).toBe(403);
    }
    expect((await test.job(other)).status).toBe("pending");
    expect((await users.post(`/api/jobs/${own}/retry`, as("ada"))).body.status).toBe("pending");
    expect((await test.pool.query("select actor from outbox_action")).rows).toEqual([{ actor: "user ada" }]);
  });

  it("list their own alone, and ask for nothing that they are not shown", async () => {
    const own = await test.aJob({ owner: "ada" });
    await test.aJob({ owner: "bob" });
    expect((await users.get("/api/jobs", as("ada"))).body.jobs.map(({ id }: { id: string }) => id)).toEqual([own]);
    for (const query of ["owner=bob", "error=x", "payload.a=1", "fingerprint=x"]) expect((await users.get(`/api/jobs?${query}`, as("ada"))).status).toBe(403);
    for (const path of ["/api/jobs/stats", `/api/jobs/${own}/why`, "/api/jobs/process", "/api/openapi.json"]) expect((await users.get(path, as("ada"))).status).toBe(403);
  });

  it("enqueue only the types that are theirs, for themselves, under keys of their own", async () => {
    const ask = (user: string, body: unknown, key?: string) => users.post("/api/jobs", { body, headers: { "x-user": user, ...(key !== undefined && { "idempotency-key": key }) } });
    const greeting = { type: "greet", payload: { name: "Ada" } };
    const first = await ask("ada", greeting, "k");
    expect(first.status).toBe(201);
    expect((await ask("ada", greeting, "k")).body).toEqual({ id: first.body.id, deduplicated: true });
    expect((await ask("bob", greeting, "k")).status).toBe(201);
    expect((await test.job(first.body.id)).owner).toBe("ada");
    for (const more of [{ owner: "bob" }, { orderingKey: "o" }, { priority: "high" }, { delay: "1h" }, { tags: ["t"] }, { maxAttempts: 9 }]) expect((await ask("ada", { ...greeting, ...more })).status).toBe(403);
    expect((await ask("ada", { type: "work", payload: 1 })).body).toMatchObject({ status: 403, path: "type" });
    expect((await ask("ada", { type: "unknown", payload: 1 })).status).toBe(403);
  });
});
