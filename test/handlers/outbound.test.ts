// One outbound request against real servers: what is sent, what is read, what every kind of bad answer comes to.

import { createServer as createTlsServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { FinalError, RetryAfter } from "../../src/outbox/errors.ts";
import { failureOf } from "../../src/handlers/outbound/failure.ts";
import type { OutboundRequest } from "../../src/handlers/outbound/request.ts";
import { request } from "../../src/handlers/outbound/request.ts";
import { serve, serveBytes, started, stopAll, thrownBy } from "./local-server.ts";

afterEach(stopAll);

const local = { allowPrivate: true };

async function send(url: string, options: Partial<OutboundRequest> = {}) {
  return await request(local, { method: "GET", url, timeoutMs: 5000, ...options });
}

function expectPassing(error: Error): void {
  expect(error).not.toBeInstanceOf(FinalError);
  expect(error).not.toBeInstanceOf(RetryAfter);
}

describe("what is sent", () => {
  test("method, headers and body arrive as given, with the body's length and no chunking", async () => {
    const server = await started(serve((_received, response) => response.end("ok")));
    const answer = await send(`${server.origin}/hook?a=1#part`, { method: "PUT", body: "naïve ✓", headers: { "X-One": "1" } });
    expect(answer).toMatchObject({ status: 200, body: "ok", truncated: false });
    const [received] = server.received;
    expect(received).toMatchObject({ method: "PUT", url: "/hook?a=1", body: "naïve ✓" });
    expect(received?.headers).toMatchObject({ "x-one": "1", "content-length": "10", connection: "close", host: `127.0.0.1:${server.port}`, "accept-encoding": "identity" });
    expect(received?.headers["transfer-encoding"]).toBeUndefined();
  });

  test("over https the name, not the address, is what the server is asked for", async () => {
    const names: string[] = [];
    const server = createTlsServer({
      SNICallback: (name, callback) => {
        names.push(name);
        callback(new Error("no certificate for it"));
      },
    });
    server.on("tlsClientError", () => undefined); // what the client sees is tested below
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const resolve = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
    const error = await thrownBy(request({ ...local, resolve }, { method: "GET", url: `https://shop.example.com:${port}/`, timeoutMs: 5000 }));
    server.close();
    expect(names).toEqual(["shop.example.com"]);
    expectPassing(error);
    expect(error.message).toContain(`https://shop.example.com:${port}/`);
  });

  test("a header with a line break in it is refused, final, and nothing is sent", async () => {
    const server = await started(serve((_received, response) => response.end()));
    const error = await thrownBy(send(server.origin, { headers: { Authorization: "Bearer s3cretvalue\r\nX-Evil: 1" } }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).not.toContain("s3cretvalue");
    expect(server.received).toEqual([]);
  });
});

describe("what is read", () => {
  test("a body of exactly maxBytes is whole; of one byte more it is cut, and the connection is closed", async () => {
    const server = await started(serve((received, response) => response.end("x".repeat(received.url === "/more" ? 101 : 100))));
    expect(await send(server.origin, { maxBytes: 100 })).toMatchObject({ body: "x".repeat(100), truncated: false });
    expect(await send(`${server.origin}/more`, { maxBytes: 100 })).toMatchObject({ body: "x".repeat(100), truncated: true });
    await server.idle();
  });

  test("of an answer that never ends 64 KB are read", async () => {
    const server = await started(
      serve((_received, response) => {
        const write = () => {
          if (response.destroyed) return;
          if (response.write("y".repeat(16_384))) setImmediate(write);
          else response.once("drain", write);
        };
        write();
      }),
    );
    const answer = await send(server.origin, { method: "POST" });
    expect(answer.truncated).toBe(true);
    expect(answer.body.length).toBe(65_536);
    await server.idle();
  });

  test("broken UTF-8 does no harm", async () => {
    const server = await started(serve((_received, response) => response.end(Buffer.from([0x61, 0xff, 0xc3]))));
    expect((await send(server.origin)).body).toBe("a\uFFFD\uFFFD");
  });
});

describe("what an answer comes to", () => {
  async function failure(status: number, headers: Record<string, string> = {}, body = "the reason"): Promise<Error> {
    const server = await started(serve((_received, response) => response.writeHead(status, headers).end(body)));
    const answer = await send(`${server.origin}/hook?token=querysecret`, { method: "POST", headers: { Authorization: "Bearer abc.def.ghi" } });
    return await thrownBy(Promise.resolve(answer).then(failureOf));
  }

  test.each([200, 201, 202, 204, 299])("%i is success", async (status) => {
    const server = await started(serve((_received, response) => response.writeHead(status).end()));
    expect(() => failureOf({ target: "GET /", status, headers: {}, body: "", truncated: false, excerpt: "" })).not.toThrow();
    expect((await send(server.origin)).status).toBe(status);
  });

  test.each([500, 502, 503, 504, 599, 408, 409, 425, 429])("%i may be tried again", async (status) => {
    const error = await failure(status);
    expectPassing(error);
    expect(error.message).toMatch(new RegExp(`^Expected a 2xx answer to POST http://127\\.0\\.0\\.1:\\d+/hook, got ${status}: the reason$`));
  });

  test.each([400, 401, 403, 404, 405, 410, 413, 415, 422, 451])("%i is final", async (status) => {
    expect(await failure(status)).toBeInstanceOf(FinalError);
  });

  test.each([429, 503])("%i with Retry-After is tried again when it says", async (status) => {
    const error = await failure(status, { "Retry-After": "17" });
    expect(error).toBeInstanceOf(RetryAfter);
    expect(error).toMatchObject({ delayMs: 17_000 });
    expect(error.message).toContain(String(status));
  });

  test("Retry-After changes nothing for a 404", async () => {
    expect(await failure(404, { "Retry-After": "17" })).toBeInstanceOf(FinalError);
  });

  test.each([301, 302, 303, 307, 308])("a redirect (%i) is not followed; the error names only the host it leads to", async (status) => {
    const elsewhere = await started(serve((_received, response) => response.end("inside")));
    const error = await failure(status, { Location: `${elsewhere.origin}/admin?code=locationsecret` });
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(`got ${status}, a redirect to "127.0.0.1:${elsewhere.port}"`);
    expect(error.message).not.toContain("locationsecret");
    expect(elsewhere.connections()).toBe(0);
  });

  test("a redirect to nowhere and to nonsense are errors as well", async () => {
    expect((await failure(302)).message).toContain("a redirect to nowhere");
    expect((await failure(302, { Location: "http://[broken" })).message).toContain("a redirect to something that is no URL");
  });

  test("an error shows 200 characters of the body, on one line, without control characters", async () => {
    const error = await failure(400, {}, `one\r\n\u0000\u001b[31mtwo\u202e${"z".repeat(5000)}`);
    expect(error.message).toContain("got 400: one [31mtwo zzz");
    expect(error.message.split("got 400: ")[1]).toHaveLength(200);
  });

  test("secrets that a receiver repeats are not shown", async () => {
    const error = await failure(401, {}, 'bad token "abc.def.ghi" in {"Authorization":"Bearer abc.def.ghi"} for /hook?token=querysecret');
    expect(error.message).not.toMatch(/abc\.def\.ghi|querysecret/);
    expect(error.message).toContain("[redacted]");
  });

  test("nor is the path, if that is a secret: not in what the request is called, nor in what is repeated of it", async () => {
    const server = await started(serve(({ url }, response) => response.writeHead(404).end(`Cannot POST ${url}, nothing at T024BE7LD, ${decodeURIComponent(url)}`)));
    const answer = await send(`${server.origin}/hooks/T024BE7LD/a%2Fsecret?x=1`, { method: "POST", secretPath: true });
    expect(answer.target).toBe(`POST ${server.origin}/…`);
    expect(answer.excerpt).toBe("Cannot POST [redacted]?x=1, nothing at [redacted], [redacted]?x=1");
    expect((await thrownBy(send(`${server.origin}/hooks/T024BE7LD`, { secretPath: true }).then(failureOf))).message).not.toContain("T024BE7LD");
  });

  test("nor are the user name and password of Basic authentication, encoded or decoded", async () => {
    const server = await started(serve((_received, response) => response.writeHead(401).end("no user ann:pass word1 (YW5uOnBhc3Mgd29yZDE=), pass word1")));
    const answer = await send(server.origin, { headers: { authorization: `Basic ${Buffer.from("ann:pass word1").toString("base64")}` } });
    expect(answer.excerpt).toBe("no user [redacted] ([redacted]), [redacted]");
  });
});

describe("connections that fail", () => {
  test.each([
    ["closes at once", ""],
    ["closes within the headers", "HTTP/1.1 200 OK\r\nContent-Le"],
    ["closes within the body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
    ["closes within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhalf"],
    ["speaks no HTTP", "220 mail.example.com ESMTP\r\n"],
    ["switches to another protocol unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    ["sends headers without end", `HTTP/1.1 200 OK\r\n${"X-Long: 12345678901234567890\r\n".repeat(2000)}`],
  ])("a receiver that %s is tried again", async (_what, bytes) => {
    const server = await started(serveBytes((socket) => socket.end(bytes)));
    const error = await thrownBy(send(`${server.origin}/path?token=querysecret`, { headers: { Authorization: "Bearer headersecret" } }));
    expectPassing(error);
    expect(error.message).toContain(`GET ${server.origin}/path, got a failed connection: `);
    expect(error.message).not.toMatch(/querysecret|headersecret/);
    await server.idle();
  });

  test("a receiver that is not there is tried again", async () => {
    const server = await started(serve((_received, response) => response.end()));
    await server.close();
    const error = await thrownBy(send(server.origin));
    expectPassing(error);
    expect(error.message).toContain("ECONNREFUSED");
  });

  test("a receiver that answers early and hangs up while we write is an answer or a failed connection, never a crash", async () => {
    const server = await started(serveBytes((socket) => socket.end("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", () => socket.destroy())));
    const outcome = await send(server.origin, { method: "POST", body: "x".repeat(8_000_000) }).catch((error: unknown) => error);
    if (outcome instanceof Error) expectPassing(outcome);
    else expect(outcome).toMatchObject({ status: 413 });
  });
});

describe("time", () => {
  test.each([
    ["never answers", () => undefined],
    ["sends headers byte by byte for ever", drip("HTTP/1.1 200 OK\r\nX-Endless: ")],
    ["sends its body byte by byte for ever", drip("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")],
    ["sends interim answers for ever", drip("", "HTTP/1.1 102 Processing\r\n\r\n")],
  ])("a receiver that %s is given up at the deadline, and the connection is closed", async (_what, talk: Parameters<typeof serveBytes>[0]) => {
    const server = await started(serveBytes(talk));
    const startedAt = performance.now();
    const error = await thrownBy(send(`${server.origin}/slow?token=querysecret`, { timeoutMs: 150 }));
    expectPassing(error);
    expect(error.message).toContain(`the whole answer to GET ${server.origin}/slow within 150 ms`);
    expect(error.message).not.toContain("querysecret");
    expect(performance.now() - startedAt).toBeLessThan(2000);
    await server.idle();
  });

  test("a resolver that never answers is given up at the deadline", async () => {
    const resolve = () => new Promise<never>(() => undefined);
    const error = await thrownBy(request({ resolve }, { method: "GET", url: "http://slow.example.com/", timeoutMs: 50 }));
    expect(error.message).toContain("within 50 ms");
  });

  test.each([
    ["before an answer", ""],
    ["within the body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
  ])("the caller's signal ends a request %s, with its own reason", async (_when, bytes) => {
    const stop = new AbortController();
    const reason = new Error("the worker is stopping");
    const server = await started(
      serveBytes((socket) => {
        socket.write(bytes, () => stop.abort(reason));
      }),
    );
    expect(await thrownBy(send(server.origin, { signal: stop.signal }))).toBe(reason);
    await server.idle();
  });

  test("with a signal that was aborted before nothing is sent", async () => {
    const server = await started(serve((_received, response) => response.end()));
    const reason = new Error("too late");
    expect(await thrownBy(send(server.origin, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(server.connections()).toBe(0);
  });
});

/** Writes `start`, then a little every few milliseconds until the other side has hung up. */
function drip(start: string, more = "x"): Parameters<typeof serveBytes>[0] {
  return (socket) => {
    socket.write(start);
    const timer = setInterval(() => socket.write(more), 5);
    socket.on("close", () => clearInterval(timer));
  };
}
