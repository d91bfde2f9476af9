// Every job type that sends a request goes by the same rules, whoever has chosen the target: the payload, or the configuration.
// The rules themselves in all their forms: test/handlers/outbound.test.ts and outbound-address.test.ts.
import { afterEach, describe, expect, it } from "vitest";
import { dataSyncHandler } from "../../src/handlers/data-sync.ts";
import { notificationDeliverHandler } from "../../src/handlers/notification-deliver.ts";
import type { Resolve } from "../../src/handlers/outbound/target.ts";
import { paymentCaptureHandler } from "../../src/handlers/payment-capture.ts";
import { paymentRefundHandler } from "../../src/handlers/payment-refund.ts";
import { webhookSendHandler } from "../../src/handlers/webhook-send.ts";
import type { Handler } from "../../src/index.ts";
import { FinalError } from "../../src/index.ts";
import { serve, started, stopAll, thrownBy } from "../handlers/local-server.ts";
import { runHandler } from "../support/run-handler.ts";

afterEach(stopAll);

interface Sender {
  /** `inside`: the configuration lets it reach this machine, for what can only be seen with a receiver. */
  readonly handler: (origin: string, inside: boolean, resolve?: Resolve) => Handler;
  readonly payload: (origin: string) => unknown;
}

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const notice = { userId: "ada", type: "t", message: "m", whatsapp: { to: "+436601234567" } };
const table = { kind: "table", table: "t", key: "id", version: "v" } as const;
const resolving = (resolve?: Resolve) => resolve && { resolve };

const senders: Record<string, Sender> = {
  "webhook.send to a url": {
    handler: (_origin, allowPrivate, resolve) => webhookSendHandler({ webhooks: {}, secrets: [secret], allowPrivate, ...resolving(resolve) }),
    payload: (origin) => ({ url: `${origin}/hook`, event: "e", data: {} }),
  },
  "webhook.send to an endpoint, as alerts use it": {
    handler: (origin, allowPrivate, resolve) => webhookSendHandler({ webhooks: { ops: { url: `${origin}/hook`, secrets: [secret], allowPrivate } }, secrets: [], ...resolving(resolve) }),
    payload: () => ({ endpoint: "ops", event: "e", data: {} }),
  },
  "data.sync pushing": {
    handler: (origin, allowPrivate, resolve) => dataSyncHandler({ endpoints: { crm: { kind: "http", url: `${origin}/api`, allowPrivate } }, ...resolving(resolve) }),
    payload: () => ({ source: "s", target: "crm", data: { id: 1 } }),
  },
  "data.sync pulling": {
    handler: (origin, allowPrivate, resolve) => dataSyncHandler({ endpoints: { crm: { kind: "http", url: `${origin}/api`, allowPrivate }, t: table }, ...resolving(resolve) }),
    payload: () => ({ source: "crm", target: "t" }),
  },
  "payment.capture": {
    handler: (url, allowPrivate, resolve) => paymentCaptureHandler({ url, key: "sk_test_1", allowPrivate, ...resolving(resolve) }),
    payload: () => ({ paymentIntentId: "pi_1" }),
  },
  "payment.refund": {
    handler: (url, allowPrivate, resolve) => paymentRefundHandler({ url, key: "sk_test_1", allowPrivate, ...resolving(resolve) }),
    payload: () => ({ paymentIntentId: "pi_1" }),
  },
  "a notification by Slack": {
    handler: (origin, allowPrivate, resolve) => notificationDeliverHandler({ channels: { c: { kind: "slack", url: `${origin}/services/x`, allowPrivate } }, ...resolving(resolve) }),
    payload: () => ({ channel: "c", ...notice }),
  },
  "a notification by WhatsApp": {
    handler: (baseUrl, allowPrivate, resolve) => notificationDeliverHandler({ channels: { c: { kind: "whatsapp", phoneNumberId: "1", token: "t", baseUrl, allowPrivate } }, ...resolving(resolve) }),
    payload: () => ({ channel: "c", ...notice }),
  },
  "a notification by webhook": {
    handler: (origin, allowPrivate, resolve) => notificationDeliverHandler({ channels: { c: { kind: "webhook", url: `${origin}/n`, allowPrivate } }, ...resolving(resolve) }),
    payload: () => ({ channel: "c", ...notice }),
  },
};

describe.each(Object.entries(senders))("%s", (_name, { handler, payload }) => {
  const run = (origin: string, inside: boolean, resolve?: Resolve) => thrownBy((async () => runHandler(handler(origin, inside, resolve), payload(origin)))());

  it("goes to http and https alone", async () => {
    for (const origin of ["ftp://files.example.com", "file:///etc", "gopher://a.example.com", "unix:///run", "ws://a.example.com", "data:text/plain,x", "javascript:x"]) {
      expect([origin, String(await run(origin, true))]).toEqual([origin, expect.stringMatching(/https?:\/\//)]);
    }
  });

  it("is refused an address of the own network, however it is written", async () => {
    // Loopback stands in outbound-address.test.ts: a payment provider on it is a stand-in that somebody has written down.
    for (const host of ["10.0.0.1", "192.168.1.1", "169.254.169.254", "167772161", "0xa.1", "012.0.0.1", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]"]) {
      expect([host, String(await run(`https://${host}`, false))]).toEqual([host, expect.stringContaining("Nothing was sent")]);
    }
  });

  it("is refused a name that leads there, final, and is asked to connect to nothing", async () => {
    const trap = await started(serve((_received, response) => response.end("{}")));
    for (const address of ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"]) {
      const error = await run(`https://inside.example.com:${trap.port}`, false, () => Promise.resolve([{ address, family: address.includes(":") ? 6 : 4 }]));
      expect(error).toBeInstanceOf(FinalError);
      expect(error.message).toContain("Nothing was sent");
    }
    expect(trap.connections()).toBe(0);
  });

  it("asks for a name once, and connects to the address that was checked", async () => {
    const server = await started(serve((_received, response) => response.writeHead(400).end()));
    let asked = 0;
    await run(`http://once.example.com:${server.port}`, true, () => Promise.resolve([{ address: (asked += 1) === 1 ? "127.0.0.1" : "192.0.2.1", family: 4 }]));
    expect([asked, server.received.length]).toEqual([1, 1]);
    expect(server.received[0]?.headers.host).toBe(`once.example.com:${server.port}`);
  });

  it("follows no redirect, and takes nothing secret there", async () => {
    const elsewhere = await started(serve((_received, response) => response.end("{}")));
    for (const status of [301, 302, 303, 307, 308]) {
      const here = await started(serve((_received, response) => response.writeHead(status, { location: `${elsewhere.origin}/stolen` }).end()));
      expect((await run(here.origin, true)).message).toMatch(/redirect/i);
    }
    expect(elsewhere.connections()).toBe(0);
  });

  it("reads so much of an answer that never ends, and closes the connection", async () => {
    let sent = 0;
    const endless = await started(
      serve((_received, response) => {
        response.writeHead(500);
        const write = (): void => {
          if (response.destroyed) return;
          sent += 65_536;
          if (response.write("y".repeat(65_536))) setImmediate(write);
          else response.once("drain", write);
        };
        write();
      }),
    );
    await run(endless.origin, true);
    await endless.idle();
    // What lies in the buffers of both sides is on its way already.
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  it("ends with the attempt when the answer only drips", async () => {
    const dripping = await started(
      serve((_received, response) => {
        response.writeHead(200, { "content-type": "application/json" });
        const timer = setInterval(() => response.write(" "), 5);
        response.on("close", () => clearInterval(timer));
      }),
    );
    const attempt = new AbortController();
    const over = new Error("the attempt is over");
    const timer = setTimeout(() => attempt.abort(over), 150);
    expect(await thrownBy(runHandler(handler(dripping.origin, true), payload(dripping.origin), { signal: attempt.signal }))).toBe(over);
    clearTimeout(timer);
    await dripping.idle();
  });
});
