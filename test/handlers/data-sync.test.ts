// data.sync over HTTP, its payload and its configuration. What it does with tables is in data-sync-table.test.ts.

import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { FinalError, OutboxError, RetryAfter } from "../../src/outbox/errors.ts";
import { dataSync, dataSyncHandler } from "../../src/handlers/data-sync.ts";
import type { Endpoint, HttpEndpoint } from "../../src/handlers/sync/endpoints.ts";
import { runJob, runTwice } from "../../src/testing/index.ts";
import { runHandler } from "../support/run-handler.ts";
import type { LocalServer, Received } from "./local-server.ts";
import { serve, serveBytes, started, stopAll, thrownBy } from "./local-server.ts";

afterEach(stopAll);

const answering = (answer: (received: Received, response: ServerResponse) => void) => started(serve(answer));

/** Accepts everything. */
const sink = () => answering((_received, response) => response.writeHead(204).end());

function endpointOf({ origin }: LocalServer, rest: Partial<HttpEndpoint> = {}): HttpEndpoint {
  return { kind: "http", url: `${origin}/api`, allowPrivate: true, timeout: "5s", ...rest };
}

function sync(payload: unknown, endpoints: Record<string, Endpoint>, options: Parameters<typeof runHandler>[2] = {}): Promise<unknown> {
  return runHandler(dataSyncHandler({ endpoints }), payload, options);
}

const customers: Endpoint = { kind: "table", table: "customer", key: "id", version: "version" };

describe("pushing to an HTTP endpoint", () => {
  test("sends the data itself as JSON, with the job's idempotency key and where the data comes from", async () => {
    const server = await sink();
    const crm = endpointOf(server, { headers: { Authorization: "Bearer abc", "X-Tenant": "7" } });
    const data = [{ id: 1, name: "Ann ✓" }, { id: 2 }];
    expect(await sync({ source: "shop db", target: "crm", data }, { crm })).toEqual({ received: 2, status: 204 });
    const [received] = server.received;
    expect(received).toMatchObject({ method: "POST", url: "/api" });
    expect(JSON.parse(received?.body ?? "")).toEqual(data);
    expect(received?.headers).toMatchObject({
      "content-type": "application/json",
      "idempotency-key": "0198f2c4-6f00-7000-8000-000000000001",
      "x-postcommit-source": "shop db",
      authorization: "Bearer abc",
      "x-tenant": "7",
    });
  });

  test("the idempotency key is the same on every attempt of a job, and another for another job", async () => {
    const server = await sink();
    const handler = dataSyncHandler({ endpoints: { crm: endpointOf(server) } });
    const payload = { source: "shop", target: "crm", data: { id: 1 } };
    const keys = () => server.received.map(({ headers }) => headers["idempotency-key"]);
    const { first } = await runTwice(handler, payload, { effects: () => new Set(keys()) }); // a receiver that knows keys
    const other = await runJob(handler, payload);
    expect(keys()).toEqual([first.idempotencyKey, first.idempotencyKey, other.idempotencyKey]);
    expect(other.idempotencyKey).not.toBe(first.idempotencyKey);
  });

  test("an object stays an object, PUT is PUT, and a field called __proto__ is sent like any other", async () => {
    const server = await sink();
    const data: unknown = JSON.parse('{ "id": 1, "__proto__": { "a": 1 }, "constructor": null }');
    expect(await sync({ source: "shop", target: "crm", data }, { crm: endpointOf(server, { method: "PUT" }) })).toEqual({ received: 1, status: 204 });
    expect(server.received).toMatchObject([{ method: "PUT", body: '{"id":1,"__proto__":{"a":1},"constructor":null}' }]);
  });

  test("the answer's body is of no interest, however long it is", async () => {
    const server = await answering((_received, response) => response.end("x".repeat(3_000_000)));
    expect(await sync({ source: "shop", target: "crm", data: {} }, { crm: endpointOf(server) })).toEqual({ received: 1, status: 200 });
    await server.idle();
  });

  test("404 is final, 500 is tried again, 429 is tried again when it says, a redirect is final", async () => {
    const failure = async (status: number, headers: Record<string, string> = {}) => {
      const server = await answering((_received, response) => response.writeHead(status, headers).end("why"));
      return await thrownBy(sync({ source: "shop", target: "crm", data: {} }, { crm: endpointOf(server) }));
    };
    expect(await failure(404)).toBeInstanceOf(FinalError);
    const again = await failure(500);
    expect(again).not.toBeInstanceOf(FinalError);
    expect(again.message).toMatch(/Expected a 2xx answer to POST http:\/\/127\.0\.0\.1:\d+\/api, got 500: why/);
    expect(await failure(429, { "Retry-After": "30" })).toMatchObject({ name: "RetryAfter", delayMs: 30_000 });
    expect(await failure(503, { "Retry-After": "soon" })).toMatchObject({ name: "RetryAfter", delayMs: null });
    expect(await failure(302, { Location: "http://169.254.169.254/" })).toBeInstanceOf(FinalError);
  });

  test("a receiver that never answers is given up after the endpoint's timeout", async () => {
    const server = await started(serveBytes(() => undefined));
    const error = await thrownBy(sync({ source: "shop", target: "crm", data: {} }, { crm: endpointOf(server, { timeout: "100ms" }) }));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toContain("within 100 ms");
    await server.idle();
  });

  test("a job that is stopped ends its request, with the reason it was stopped for", async () => {
    const stop = new AbortController();
    const reason = new Error("the worker is stopping");
    const server = await started(serveBytes(() => stop.abort(reason)));
    expect(await thrownBy(sync({ source: "shop", target: "crm", data: {} }, { crm: endpointOf(server) }, { signal: stop.signal }))).toBe(reason);
    await server.idle();
  });

  test("without allowPrivate a name that leads into the own network is refused, final, and nothing is sent", async () => {
    const server = await sink();
    const crm: Endpoint = { kind: "http", url: `http://crm.example.com:${server.port}/` };
    const handler = dataSyncHandler({ endpoints: { crm }, resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });
    expect(await thrownBy(runHandler(handler, { source: "shop", target: "crm", data: {} }))).toBeInstanceOf(FinalError);
    expect(server.connections()).toBe(0);
  });
});

describe("pulling from an HTTP endpoint", () => {
  /** Pulls `body` and pushes it on; gives back what arrived at the target. */
  async function pulled(body: string | Buffer, rest: Partial<HttpEndpoint> = {}, status = 200): Promise<unknown> {
    const source = await answering((_received, response) => response.writeHead(status, { "Content-Type": "application/json" }).end(body));
    const target = await sink();
    const result = await sync({ source: "erp", target: "crm" }, { erp: endpointOf(source, rest), crm: endpointOf(target) });
    expect(source.received).toMatchObject([{ method: "GET", body: "" }]);
    expect(target.received[0]?.headers["x-postcommit-source"]).toBe("erp");
    return { result, arrived: JSON.parse(target.received[0]?.body ?? "") as unknown };
  }

  test("an object or an array of objects is moved from one API to another", async () => {
    expect(await pulled('{ "id": 1 }')).toEqual({ result: { received: 1, status: 204 }, arrived: { id: 1 } });
    expect(await pulled('[{ "id": 1 }, { "id": 2 }]')).toEqual({ result: { received: 2, status: 204 }, arrived: [{ id: 1 }, { id: 2 }] });
    expect(await pulled('{ "results": { "items": [{ "id": 3 }] } }', { itemsAt: "results.items" })).toMatchObject({ arrived: [{ id: 3 }] });
  });

  test.each(["", "<html>maintenance</html>", '{ "id": 1', "\u001f\u008b\u0008"])("the garbage %j is an error that may pass, and shows what came", async (body) => {
    const error = await thrownBy(pulled(body));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/Expected JSON in the answer to GET http:\/\/127\.0\.0\.1:\d+\/api, got application\/json that cannot be parsed: /);
  });

  test.each([
    ["42", {}, "got a number"],
    ["null", {}, "got null"],
    ["[1]", {}, "got a number at index 0"],
    ['[{}, ["x"]]', {}, "got an array at index 1"],
    ['{ "results": {} }', { itemsAt: "results.items" }, 'got one without "items"'],
    ['{ "results": null }', { itemsAt: "results.items" }, 'got one without "items"'],
    ["{}", { itemsAt: "constructor" }, 'got one without "constructor"'],
    ['{ "items": "none" }', { itemsAt: "items" }, 'at "items", got a string'],
    [`${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`, {}, "nested deeper than 200 levels"],
    ['[{ "a": "\\u0000" }]', {}, "the answer[0].a contains a NUL character"],
    ['[{ "id": 9007199254740993 }]', {}, "in data[0].id, which JSON numbers round"],
  ])("the answer %.60s is refused, final, and nothing is written", async (body, rest, message) => {
    const error = await thrownBy(pulled(body, rest));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(message);
  });

  test("an answer longer than maxBytes is refused, not cut", async () => {
    const body = JSON.stringify(Array.from({ length: 100_000 }, (_, id) => ({ id, name: "xxxxxxxxxx" })));
    expect(body.length).toBeGreaterThan(3_000_000);
    const error = await thrownBy(pulled(body));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/at most 65536 bytes .* raise maxBytes of the endpoint "erp"/);
    expect(await pulled(body, { maxBytes: 4_000_000 })).toMatchObject({ result: { received: 100_000 } });
  });

  test("a 500 with a body longer than maxBytes is a 500", async () => {
    const error = await thrownBy(pulled("x".repeat(100_000), {}, 500));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toContain("got 500");
  });

  test("a source that hangs up within its answer is tried again, and nothing is written", async () => {
    const source = await started(serveBytes((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"id":1}]')));
    const target = await sink();
    const error = await thrownBy(sync({ source: "erp", target: "crm" }, { erp: endpointOf(source), crm: endpointOf(target) }));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error).not.toBeInstanceOf(RetryAfter);
    expect(target.connections()).toBe(0);
  });
});

describe("the payload", () => {
  test("an unknown endpoint is refused by field and name, with the known names; nothing is sent", async () => {
    const server = await sink();
    const endpoints = { crm: endpointOf(server), customers };
    const error = await thrownBy(sync({ source: "crm", target: "customer" }, endpoints));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toBe('Expected target to be an endpoint of the configuration, got "customer". Known are: "crm", "customers".');
    expect((await thrownBy(sync({ source: "erp", target: "crm" }, endpoints))).message).toContain("Expected source to be an endpoint");
    for (const target of ["constructor", "__proto__", "toString"]) {
      expect((await thrownBy(sync({ source: "crm", target, data: {} }, endpoints))).message).toContain(`got "${target}"`);
    }
    expect((await thrownBy(sync({ source: "x", target: "y", data: {} }, {}))).message).toContain("Known are: none.");
    expect(server.connections()).toBe(0);
  });

  test("a table cannot be pulled", async () => {
    const error = await thrownBy(sync({ source: "customers", target: "customers" }, { customers }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain('got the table endpoint "customers"');
  });

  test.each([
    [{ target: "crm" }, "source"],
    [{ source: "a", target: "" }, "target"],
    [{ source: "a\nX-Evil: 1", target: "crm" }, "source"],
    [{ source: "ä", target: "crm" }, "source"],
    [{ source: "a", target: "crm", data: 1 }, "data"],
    [{ source: "a", target: "crm", data: null }, "data"],
    [{ source: "a", target: "crm", data: [1] }, "data"],
    [{ source: "a", target: "crm", data: [[{}]] }, "data"],
    [{ source: "a", target: "crm", data: {}, url: "http://169.254.169.254/" }, "url"],
  ])("%j is refused, and the message names %s", async (payload, field) => {
    const server = await sink();
    const error = await thrownBy(sync(payload, { crm: endpointOf(server) }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(field);
    expect(server.connections()).toBe(0);
  });

  test("one attempt may take two minutes", () => {
    expect(dataSync).toMatchObject({ type: "data.sync", timeoutMs: 120_000 });
  });
});

describe("the configuration", () => {
  const http: HttpEndpoint = { kind: "http", url: "https://example.com/api" };

  test.each<[string, unknown, RegExp]>([
    ["an unknown kind", { kind: "ftp" }, /endpoints\["it"\]\.kind/],
    ["a misspelt field", { ...http, header: {} }, /endpoints\["it"\].*header/],
    ["no URL", { kind: "http" }, /endpoints\["it"\]\.url/],
    ["a URL that is none", { ...http, url: "example.com" }, /endpoints\["it"\]\.url.*absolute URL/],
    ["another scheme", { ...http, url: "file:///etc/passwd" }, /endpoints\["it"\]\.url.*file:/],
    ["a private address", { ...http, url: "http://10.0.0.1/" }, /endpoints\["it"\]\.url.*10\.0\.0\.1 \(private\)/],
    ["credentials in the URL", { ...http, url: "https://ann:hunter2@example.com/" }, /endpoints\["it"\]\.url.*without a user name/],
    ["an unknown method", { ...http, method: "DELETE" }, /endpoints\["it"\]\.method/],
    ["a header that HTTP cannot carry", { ...http, headers: { Authorization: "a\nhunter2" } }, /endpoints\["it"\]\.headers.*[Aa]uthorization/],
    ["a header's name that is none", { ...http, headers: { "a b": "x" } }, /endpoints\["it"\]\.headers/],
    ["a header that is ours", { ...http, headers: { "Idempotency-KEY": "x" } }, /endpoints\["it"\]\.headers\.Idempotency-KEY/],
    ["a timeout that is none", { ...http, timeout: "soon" }, /endpoints\["it"\]\.timeout.*"soon"/],
    ["a timeout of days", { ...http, timeout: "30d" }, /endpoints\["it"\]\.timeout.*10 minutes/],
    ["no time at all", { ...http, timeout: 0 }, /endpoints\["it"\]\.timeout/],
    ["a fraction of a byte", { ...http, maxBytes: 0.5 }, /endpoints\["it"\]\.maxBytes/],
    ["more than 16 MB", { ...http, maxBytes: 1e9 }, /endpoints\["it"\]\.maxBytes/],
    ["a path with a hole", { ...http, itemsAt: "a..b" }, /endpoints\["it"\]\.itemsAt/],
    ["no table", { kind: "table", key: "id", version: "v" }, /endpoints\["it"\]\.table/],
    ["a table of three parts", { ...customers, table: "a.b.c" }, /endpoints\["it"\]\.table.*"crm\.customer"/],
    ["an empty table name", { ...customers, table: "" }, /endpoints\["it"\]\.table/],
    ["a column's name that Postgres would cut", { ...customers, version: "v".repeat(64) }, /endpoints\["it"\]\.version.*63 bytes/],
    ["no key", { ...customers, key: [] }, /endpoints\["it"\]\.key/],
    ["a key twice", { ...customers, key: ["id", "id"] }, /endpoints\["it"\]\.key/],
    ["a version in the key", { ...customers, version: "id" }, /endpoints\["it"\]\.version.*not part of the key/],
    ["columns without the version", { ...customers, columns: { a: "id" } }, /endpoints\["it"\]\.columns.*"version"/],
    ["one column for two fields", { ...customers, columns: { a: "id", b: "id", c: "version" } }, /endpoints\["it"\]\.columns.*"id"/],
    ["nothing", null, /endpoints\["it"\]/],
  ])("%s is refused when the handler is made", (_what, endpoint, message) => {
    let thrown: unknown;
    try {
      dataSyncHandler({ endpoints: { it: endpoint as Endpoint } }); // a configuration is not always written in TypeScript
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(OutboxError);
    expect(thrown).toMatchObject({ code: "CONFIGURATION" });
    expect(String(thrown)).toMatch(message);
    expect(String(thrown)).not.toContain("hunter2");
  });

  test("an endpoint's name must be one that a job can name", () => {
    expect(() => dataSyncHandler({ endpoints: { "": http } })).toThrow(/endpoints\[""\]/);
    expect(() => dataSyncHandler({ endpoints: { ok: http } })).not.toThrow();
  });
});
