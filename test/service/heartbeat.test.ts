// The heartbeat after a drain, against real servers.
import type { IncomingMessage } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { checkHeartbeatUrl, sendHeartbeat } from "../../src/service/heartbeat.ts";
import type { LocalServer } from "../handlers/local-server.ts";
import { serve, serveBytes, started, stopAll } from "../handlers/local-server.ts";

afterEach(stopAll);

const answering = (status: number, headers: Record<string, string> = {}) => started(serve((_, response) => response.writeHead(status, headers).end("secret")));
const asked = ({ received }: LocalServer) => received.map(({ method, url }: Pick<IncomingMessage, "method" | "url">) => `${method} ${url}`);

describe("after a drain", () => {
  it("that worked the URL is asked for once, as it is", async () => {
    const server = await answering(200);
    expect(await sendHeartbeat(`${server.origin}/ping/4711?rid=7`, "worked")).toBeNull();
    expect(asked(server)).toEqual(["GET /ping/4711?rid=7"]);
  });

  it.each([
    ["/ping/4711", "/ping/4711/fail"],
    ["/ping/4711/", "/ping/4711/fail"],
    ["/ping/4711?msg=OK", "/ping/4711/fail?msg=OK"],
  ])("that did not work %s becomes %s", async (given, expected) => {
    const server = await answering(200);
    expect(await sendHeartbeat(`${server.origin}${given}`, "failed")).toBeNull();
    expect(asked(server)).toEqual([`GET ${expected}`]);
  });

  it("a service that does not know /fail hears nothing else, and nobody is bothered", async () => {
    const server = await answering(404);
    expect(await sendHeartbeat(`${server.origin}/ping/4711`, "failed")).toBeNull();
  });

  it("a user and a password in the URL go into the header where they belong", async () => {
    const server = await answering(200);
    const url = new URL(`${server.origin}/ping`);
    url.username = "me";
    url.password = "p@ss";
    expect(await sendHeartbeat(url.href, "worked")).toBeNull();
    expect(server.received[0]!.headers.authorization).toBe(`Basic ${Buffer.from("me:p@ss").toString("base64")}`);
  });
});

it("a user and a password with a % that encodes nothing are sent as they stand, and never fail the drain", async () => {
  const server = await answering(200);
  expect(await sendHeartbeat(server.origin.replace("//", "//me:100%pure@"), "worked")).toBeNull();
  expect(server.received[0]!.headers.authorization).toBe(`Basic ${Buffer.from("me:100%pure").toString("base64")}`);
});

describe("a heartbeat that is not taken is one sentence, without the URL's path, which is a secret", () => {
  it.each([404, 500, 302])("answer %i", async (status) => {
    const server = await answering(status);
    expect(await sendHeartbeat(`${server.origin}/ping/s3cret`, "worked")).toBe(`The heartbeat to 127.0.0.1:${server.port} was not taken: it answered ${status}. The drain itself worked.`);
  });

  it("nobody there", async () => {
    const server = await answering(200);
    await stopAll();
    expect(await sendHeartbeat(`${server.origin}/ping/s3cret`, "worked")).toBe(`The heartbeat to 127.0.0.1:${server.port} was not taken: ECONNREFUSED. The drain itself worked.`);
  });

  it("no answer in time", async () => {
    const server = await started(serve(() => undefined));
    expect(await sendHeartbeat(`${server.origin}/ping/s3cret`, "worked", 200)).toBe(`The heartbeat to 127.0.0.1:${server.port} was not taken: no answer within 0.2 s. The drain itself worked.`);
  });

  it("an answer whose body never ends is taken, and not waited for", async () => {
    const server = await started(serve((_, response) => void response.writeHead(200).write("x")));
    expect(await sendHeartbeat(`${server.origin}/ping`, "worked", 2000)).toBeNull();
  });

  it("no HTTP", async () => {
    const server = await started(serveBytes((socket) => socket.end("220 smtp ready\r\n")));
    const sentence = await sendHeartbeat(`${server.origin}/ping/s3cret`, "worked");
    expect(sentence).toMatch(/was not taken: HPE_\w+\. The drain itself worked\.$/);
  });
});

it.each(["", "4711", "ftp://example.com/x", "javascript:alert(1)", "hc-ping.com/4711"])("%j is no heartbeat URL, and is not shown", (url) => {
  const error = (() => {
    try {
      checkHeartbeatUrl(url);
      return null;
    } catch (cause) {
      return cause as Error;
    }
  })();
  expect(error?.message).toBe("Expected the heartbeat URL (--heartbeat-url, JOBS_HEARTBEAT_URL) to begin with https:// or http://, got something else.");
});

it("a web address is one", () => {
  expect(() => checkHeartbeatUrl("https://hc-ping.com/4711")).not.toThrow();
});
