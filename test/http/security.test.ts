// Who gets in, and what becomes of requests that mean harm.
import { request as nodeRequest } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { connect } from "node:net";
import { createServer } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createHttpHandler, nodeHandler } from "../../src/http.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";
import type { Client } from "./support.ts";
import { clientOf, theDocument, tokens } from "./support.ts";

let test: TestOutbox;
let client: Client;
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox, { handlers: [worksBy(() => Promise.resolve(null))] });
});
afterAll(() => test.close());
beforeEach(() => test.empty());

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** The handler on a port of its own. */
async function listening(handler = client.handler): Promise<number> {
  const server = createServer((incoming, outgoing) => void nodeHandler(handler)(incoming, outgoing));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port; // it listens on TCP
}

describe("nothing is open by default", () => {
  it("without tokens and without authenticate every route but /health answers 401, whatever is sent", async () => {
    const closed = clientOf(test.outbox, { tokens: {} });
    for (const [path, operations] of Object.entries((await theDocument()).paths)) {
      if (path === "/metrics") continue; // not there without metrics
      for (const method of Object.keys(operations)) {
        if (method === "post" && path === "/api/jobs/process") continue; // not there without handlers
        const real = path.replace("{id}", "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61");
        const { status } = await closed.ask(method.toUpperCase(), real, { token: tokens.operate });
        expect({ path, method, status }).toEqual({ path, method, status: path.startsWith("/health") ? 200 : 401 });
      }
    }
  });

  it("a token in the query lets nobody in, nor one in a cookie or as Basic", async () => {
    for (const name of ["token", "access_token", "api_key"]) expect((await client.get(`/api/jobs?${name}=${tokens.view}`)).status).toBe(401);
    expect((await client.get("/api/jobs", { headers: { cookie: `token=${tokens.view}` } })).status).toBe(401);
    expect((await client.get("/api/jobs", { headers: { authorization: `Basic ${btoa(`x:${tokens.view}`)}` } })).status).toBe(401);
    expect((await client.get("/api/jobs", { headers: { authorization: tokens.view } })).status).toBe(401);
  });

  it("a token is taken whole, alone and as it is: no prefix, no list, no other letters, no second header", async () => {
    const { view } = tokens;
    const wrong = ["", "Bearer", "Bearer ", `Bearer ${view.slice(0, -1)}`, `Bearer ${view}x`, `Bearer ${view}, Bearer ${view}`, `Bearer ${view} ${view}`, `Bearer "${view}"`, `Bearer ${view.toUpperCase()}`, `Bearer\t${view}`, `Bearer ${view}=`, `Bearer ${encodeURIComponent("*")}`, `Bearer undefined`, "Bearer null", `Token ${view}`, `Bearer: ${view}`, `Digest ${view}`, `Bearer ${view}\u00a0`];
    for (const authorization of wrong) expect([authorization, (await client.get("/api/jobs", { headers: { authorization } })).status]).toEqual([authorization, 401]);
    for (const authorization of [`Bearer ${view}`, `bearer ${view}`, `Bearer   ${view}`]) expect((await client.get("/api/jobs", { headers: { authorization } })).status).toBe(200);
  });

  it("of two Authorization headers over a socket none opens anything that the first does not", async () => {
    const port = await listening();
    const statusOf = (...headers: string[]) =>
      new Promise<number>((resolve, reject) => {
        let text = "";
        const socket = connect(port, "127.0.0.1", () => socket.write(`GET /api/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers.map((each) => `Authorization: ${each}\r\n`).join("")}\r\n`));
        socket.on("data", (chunk) => (text += chunk.toString())).on("error", reject).on("close", () => resolve(Number(text.split(" ")[1])));
      });
    expect(await statusOf(`Bearer ${tokens.view}`)).toBe(200);
    for (const first of ["Bearer wrong", "Basic eDp5", ""]) expect([first, await statusOf(first, `Bearer ${tokens.view}`)]).toEqual([first, 401]);
  });

  it("no other spelling of a path, and no header that names another method or path, gets past the tokens", async () => {
    const id = await test.aJob();
    const paths = ["/api//jobs", "//api/jobs", "/api/jobs/", "/API/JOBS", "/api/%6aobs", "/api/jobs%2f", "/api/jobs/%2e%2e/jobs", "/api/jobs/./process", "/health/../api/jobs", "/health/..%2fapi/jobs", "/api/jobs;x=1", "/api/jobs.json", "/api/jobs%00", `/health/api/jobs/${id}`, "/api/jobs?/health", "/api/jobs#/health", "/api/monitoring/queue/stats/", "/x/metrics", "/api/openapi.json%20"];
    for (const path of paths) for (const method of ["GET", "POST"]) expect([path, method, [401, 404, 405].includes((await client.ask(method, path)).status)]).toEqual([path, method, true]);
    const overriding = { "x-http-method-override": "POST", "x-http-method": "POST", "x-method-override": "POST", "x-original-url": `/api/jobs/${id}/cancel`, "x-rewrite-url": `/api/jobs/${id}/cancel`, "x-forwarded-prefix": "/health" };
    expect((await client.get("/health", { headers: overriding })).status).toBe(200);
    expect((await client.get(`/api/jobs/${id}/cancel?_method=POST`, { token: tokens.operate, headers: overriding })).status).toBe(405);
    expect((await test.job(id)).status).toBe("pending");
  });

  it("an unknown token is told from none, and neither from a known one by anything else", async () => {
    const none = await client.get("/api/jobs");
    const unknown = await client.get("/api/jobs", { token: `${tokens.view.slice(0, -1)}Z` });
    expect([none.status, unknown.status]).toEqual([401, 401]);
    expect(none.headers.get("www-authenticate")).toBe('Bearer realm="postcommit"');
    expect(unknown.headers.get("www-authenticate")).toBe('Bearer realm="postcommit", error="invalid_token"');
  });
});

describe("roles", () => {
  const routes = [
    { method: "GET", path: "/api/jobs", roles: ["view", "operate"] },
    { method: "GET", path: "/api/jobs/stats", roles: ["view", "operate"] },
    { method: "GET", path: "/api/monitoring/queue/health", roles: ["view", "operate"] },
    { method: "GET", path: "/api/openapi.json", roles: ["view", "operate"] },
    { method: "POST", path: "/api/jobs", roles: ["operate"] },
    { method: "POST", path: "/api/jobs/01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61/cancel", roles: ["operate"] },
    { method: "POST", path: "/api/jobs/process", roles: ["run"] },
    { method: "GET", path: "/api/jobs/process", roles: ["view", "operate", "run"] },
  ];
  it.each(routes)("$method $path is for $roles alone", async ({ method, path, roles }) => {
    for (const role of ["view", "operate", "run"] as const) {
      const { status } = await client.ask(method, path, { token: tokens[role], ...(method === "POST" && { body: {} }) });
      expect({ role, allowed: status !== 403 && status !== 401 }).toEqual({ role, allowed: roles.includes(role) });
    }
  });

  it("of each role two tokens are good at once, so that one can follow the other; three are refused", async () => {
    const next = "next-token-0123456789abcdef0123456789";
    const both = clientOf(test.outbox, { tokens: { view: [tokens.view, { name: "next", token: next }] } });
    expect((await both.get("/api/jobs", { token: tokens.view })).status).toBe(200);
    expect((await both.get("/api/jobs", { token: next })).status).toBe(200);
    expect(() => createHttpHandler(test.outbox, { tokens: { view: [tokens.view, next, tokens.run] } })).toThrow("at most 2 tokens");
  });

  it("a token that is short, not set, or could never be sent is refused at once, and not shown", () => {
    const secret = "hunter2";
    expect(() => createHttpHandler(test.outbox, { tokens: { run: secret } })).toThrow(/32 characters at least, got 7/);
    expect(() => createHttpHandler(test.outbox, { tokens: { run: secret } })).not.toThrow(secret);
    expect(() => createHttpHandler(test.outbox, { tokens: { run: [undefined as unknown as string] } })).toThrow("got none");
    expect(() => createHttpHandler(test.outbox, { tokens: { run: `${"x".repeat(40)} y` } })).toThrow("something else in it");
  });
});

describe("an app's own authentication", () => {
  it("lets in whom the app names, and nobody when it says nothing or something odd", async () => {
    const said: unknown[] = [null, undefined, false, { role: "view" }, { role: ["view", "run"] }, { user: "ada" }];
    const odd: unknown[] = [true, "ada", {}, { user: "" }, { user: 7 }, { role: "root" }, { role: [] }, { user: "ada", role: "operate" }];
    const answers = async (all: unknown[]) => Promise.all(all.map(async (each) => (await clientOf(test.outbox, { tokens: {}, authenticate: () => each as null }).get("/api/jobs")).status));
    expect(await answers(said)).toEqual([401, 401, 401, 200, 200, 200]);
    expect(await answers(odd)).toEqual(odd.map(() => 500));
  });

  it("is asked after the tokens, with what the app's server made of the request", async () => {
    const asked: unknown[] = [];
    const own = createHttpHandler(test.outbox, { tokens, authenticate: (_, incoming) => (asked.push(incoming), { user: "ada" }) });
    await own(new Request("http://localhost/api/jobs", { headers: { authorization: `Bearer ${tokens.view}` } }), { session: 1 });
    expect(asked).toEqual([]);
    await own(new Request("http://localhost/api/jobs"), { session: 2 });
    expect(asked).toEqual([{ session: 2 }]);
  });

  it("is not asked for what a page of another origin sends with the cookies alone", async () => {
    const byCookie = clientOf(test.outbox, { authenticate: () => ({ role: "operate" }) });
    const id = await test.aJob();
    for (const site of ["cross-site", "same-site"]) expect((await byCookie.post(`/api/jobs/${id}/cancel`, { headers: { "sec-fetch-site": site } })).status).toBe(403);
    expect((await test.job(id)).status).toBe("pending");
    for (const headers of [{ "sec-fetch-site": "same-origin" }, { "sec-fetch-site": "cross-site", authorization: "Bearer of-the-app" }]) expect((await byCookie.get("/api/jobs", { headers })).status).toBe(200);
  });

  it("what it throws is answered by a 500 that says nothing of it, and told to the app's log", async () => {
    const told: unknown[] = [];
    const failing = clientOf(test.outbox, { authenticate: () => Promise.reject(new Error("select * from secrets")), onError: (error, id) => told.push([String(error), id]) });
    const answer = await failing.get("/api/jobs", { headers: { "x-request-id": "abc-1" } });
    expect(answer.status).toBe(500);
    expect(answer.text).not.toMatch(/secrets|at .*\.ts|stack/);
    expect(answer.body).toMatchObject({ code: "internal", requestId: "abc-1" });
    expect(told).toEqual([["Error: select * from secrets", "abc-1"]]);
  });
});

describe("limits on what is sent", () => {
  const operate = { token: tokens.operate };

  it("a body over the limit is refused by its bytes: declared, streamed without a length, or declared to be less", async () => {
    const small = clientOf(test.outbox, { maxBodyBytes: 1000 });
    expect((await small.post("/api/jobs", { ...operate, body: { type: "work", payload: "x".repeat(1000) } })).status).toBe(413);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 100;
        controller.enqueue(new Uint8Array(100).fill(0x20));
      },
    });
    expect((await small.post("/api/jobs", { ...operate, raw: endless, headers: { "content-type": "application/json" } })).status).toBe(413);
    expect(sent).toBeLessThan(3000);
    const lying = new Request("http://localhost/api/jobs", { method: "POST", headers: { authorization: `Bearer ${tokens.operate}`, "content-type": "application/json", "content-length": "10" }, body: "x".repeat(5000) });
    expect((await small.handler(lying)).status).toBe(413);
    expect(await test.jobs()).toEqual([]);
  });

  it("a chunked body over a socket is cut off at the limit", async () => {
    const port = await listening(clientOf(test.outbox, { maxBodyBytes: 10_000 }).handler);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = nodeRequest({ port, method: "POST", path: "/api/jobs", headers: { authorization: `Bearer ${tokens.operate}`, "content-type": "application/json", "transfer-encoding": "chunked" } }, (response) => resolve(response.statusCode));
      request.on("error", reject);
      for (let sent = 0; sent < 30; sent += 1) request.write("x".repeat(1000));
    });
    expect(status).toBe(413);
  });

  it("a body that does not come is not waited for", async () => {
    const hasty = clientOf(test.outbox, { timeLimit: "200ms" });
    const { status, body } = await hasty.post("/api/jobs", { ...operate, raw: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("{")) }), headers: { "content-type": "application/json" } });
    expect([status, body.code]).toEqual([408, "timeout_of_body"]);
  });

  it("deep nesting is refused before it is parsed; what a payload may have passes", async () => {
    const nested = (levels: number) => `{"type":"work","payload":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    const json = { "content-type": "application/json" };
    expect((await client.post("/api/jobs", { ...operate, raw: nested(100_000), headers: json })).body).toMatchObject({ status: 400, code: "invalid_request", detail: expect.stringContaining("levels") });
    expect((await client.post("/api/jobs", { ...operate, raw: nested(201), headers: json })).status).toBe(422);
    expect((await client.post("/api/jobs", { ...operate, raw: nested(200), headers: json })).status).toBe(201);
    expect((await client.post("/api/jobs", { ...operate, raw: JSON.stringify({ type: "work", payload: "[".repeat(1000) }), headers: json })).status).toBe(201);
  });

  it.each([
    ["text/plain", 415],
    ["application/x-www-form-urlencoded", 415],
    ["multipart/form-data", 415],
    ["application/json; charset=latin1", 415],
    ["application/jsonp", 415],
    ["application/json; charset=UTF-8", 201],
    ["application/vnd.api+json", 201],
  ])("the media type %s is answered by %i", async (mediaType, status) => {
    expect((await client.post("/api/jobs", { ...operate, raw: '{"type":"work","payload":1}', headers: { "content-type": mediaType } })).status).toBe(status);
  });

  it("encoded bodies, other bytes than UTF-8 and what is no JSON are refused", async () => {
    const json = { "content-type": "application/json" };
    expect((await client.post("/api/jobs", { ...operate, raw: "{}", headers: { ...json, "content-encoding": "gzip" } })).status).toBe(415);
    for (const raw of [Uint8Array.of(0x22, 0xff, 0x22), "{", "", "nul", "{}{}", "undefined"]) expect((await client.post("/api/jobs", { ...operate, raw, headers: json })).status).toBe(400);
  });

  it("__proto__ is a name that is not known, and as part of a payload it is data", async () => {
    const json = { "content-type": "application/json" };
    const polluting = await client.post("/api/jobs", { ...operate, raw: '{"type":"work","payload":1,"__proto__":{"priority":"high"}}', headers: json });
    expect([polluting.status, polluting.body.detail]).toEqual([400, expect.stringContaining("__proto__")]);
    expect((await client.post("/api/jobs", { ...operate, raw: '{"type":"work","payload":{"__proto__":{"a":1}}}', headers: json })).status).toBe(201);
    expect((await client.get("/api/jobs?__proto__=1", { token: tokens.view })).status).toBe(400);
    expect((await client.get("/api/jobs?payload.__proto__=1", { token: tokens.view })).status).toBe(400);
  });
});

describe("answers", () => {
  it("have a request id: the caller's when it is a plain word, else a new one", async () => {
    expect((await client.get("/health", { headers: { "x-request-id": "trace-1.2:3~4" } })).headers.get("x-request-id")).toBe("trace-1.2:3~4");
    for (const odd of ["a b", "x".repeat(129), '"quoted"', "<script>"]) expect((await client.get("/health", { headers: { "x-request-id": odd } })).headers.get("x-request-id")).toMatch(/^[\da-f-]{36}$/);
  });

  it("are kept by no cache, guessed at by no browser, and shared with no other origin", async () => {
    for (const answer of [await client.get("/health", { headers: { origin: "https://evil.example" } }), await client.get("/api/jobs", { headers: { origin: "https://evil.example" } })]) {
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
    expect((await client.ask("OPTIONS", "/api/jobs", { headers: { origin: "https://evil.example" } })).status).toBe(405);
  });

  it("lead to no other host, whatever the path that was asked: neither the Location nor the next page", async () => {
    for (const base of ["//evil.example", "///evil.example", "/\\evil.example", "//evil.example/x"]) {
      for (let n = 0; n < 2; n += 1) await test.aJob();
      const made = await client.handler(new Request(`http://localhost${base}/api/jobs`, { method: "POST", headers: { authorization: `Bearer ${tokens.operate}`, "content-type": "application/json" }, body: '{"type":"work","payload":1}' }));
      const listed = await client.handler(new Request(`http://localhost${base}/api/jobs?limit=1`, { headers: { authorization: `Bearer ${tokens.view}` } }));
      for (const said of [made.headers.get("location"), listed.headers.get("link"), await listed.text()]) expect([base, said]).toEqual([base, said?.includes("evil") === true ? "nothing of evil" : said]);
    }
  });

  it("name the methods there are when it is another one; HEAD runs nothing", async () => {
    expect((await client.ask("DELETE", "/api/jobs")).headers.get("allow")).toBe("POST, GET, HEAD");
    expect((await client.ask("PUT", "/api/jobs/stats")).headers.get("allow")).toBe("GET, HEAD");
    const head = await client.ask("HEAD", "/api/jobs/process", { token: tokens.run });
    expect([head.status, head.headers.get("allow")]).toEqual([405, "GET, POST"]);
    expect((await client.ask("HEAD", "/api/jobs", { token: tokens.view })).status).toBe(200);
  });

  it("are problem documents (RFC 9457), without a stack and without SQL", async () => {
    const answer = await client.get("/api/jobs?payload.a..b=1", { token: tokens.view });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toEqual({ type: "about:blank", title: "Bad Request", status: 400, detail: expect.any(String), code: "invalid_request", requestId: answer.headers.get("x-request-id") });
  });

  it("an unreachable database is 503 with Retry-After, and says nothing of where it is", async () => {
    const { postgres } = await import("../../src/service/database.ts");
    const gone = test.over(postgres("postgresql://ada:hunter2@127.0.0.1:1/secret_db"));
    const away = clientOf(gone);
    const answer = await away.get("/api/jobs", { token: tokens.view });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(answer.text).not.toMatch(/hunter2|secret_db|127\.0\.0\.1|ECONN/);
    expect((await away.get("/health")).status).toBe(200);
    expect((await away.get("/health/ready")).body).toEqual({ status: "not ready", problems: ["The database does not answer"] });
    await gone.close();
  });

  it("a broken request line or a half-sent head ends that connection alone", async () => {
    const port = await listening();
    for (const line of ["GET http://evil.example/health HTTP/1.1\r\nHost: x\r\n\r\n", "GET //evil.example/health HTTP/1.1\r\nHost: x\r\n\r\n", "GE"]) {
      const answer = await new Promise<string>((resolve) => {
        let text = "";
        const socket = connect(port, "127.0.0.1", () => socket.end(line)).on("data", (chunk) => (text += chunk.toString()));
        socket.on("close", () => resolve(text)).on("error", () => resolve(text));
      });
      expect(answer).not.toContain("evil.example");
    }
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  });
});

it("a client that leaves while its job runs leaves the job to its end", async () => {
  const started = barrier();
  const mayEnd = barrier();
  const running = clientOf(test.outbox, { handlers: [worksBy(async () => (started.open(), mayEnd.reached))] });
  const port = await listening(running.handler);
  const id = await test.aJob();
  const leaving = new AbortController();
  const asked = fetch(`http://127.0.0.1:${port}/api/jobs/process`, { method: "POST", headers: { authorization: `Bearer ${tokens.run}` }, signal: leaving.signal }).catch((error: unknown) => error);
  await started.reached;
  leaving.abort();
  expect(await asked).toBeInstanceOf(Error);
  mayEnd.open();
  expect((await test.outbox.wait(id)).status).toBe("done");
});

it("secrets in payloads and results are not answered", async () => {
  const { body } = await client.post("/api/jobs", { token: tokens.operate, body: { type: "greet", payload: { name: "Ada", password: "canary-1" } } });
  await test.pool.query(`update outbox set result = '{"token":"canary-2","ok":1}', checkpoint = '{"secret":"canary-3"}' where id = $1`, [body.id]);
  const answer = await client.get(`/api/jobs/${body.id}`, { token: tokens.view });
  expect(answer.text).not.toContain("canary");
  expect(answer.body).toMatchObject({ payload: { name: "Ada", password: "[redacted]" }, result: { token: "[redacted]", ok: 1 } });
});
