// What notification.deliver sends to each kind of channel, against local servers, and what their answers come to.

import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import type { Channel, WhatsAppChannel } from "../../src/handlers/notification-send.ts";
import { notificationDeliver, notificationDeliverHandler } from "../../src/handlers/notification-deliver.ts";
import { FinalError, RetryAfter } from "../../src/outbox/errors.ts";
import { runHandler } from "../support/run-handler.ts";
import type { LocalServer, Received } from "./local-server.ts";
import { serve, serveBytes, started, stopAll, thrownBy } from "./local-server.ts";

afterEach(stopAll);

const paid = { userId: "ada", type: "order.paid", message: "Order 1042 was paid." };
const jobId = "0198f2c4-6f00-7000-8000-000000000001";

const answering = (answer: (received: Received, response: ServerResponse) => void) => started(serve(answer));

function deliver(channel: Channel, payload: object = {}): Promise<unknown> {
  return runHandler(notificationDeliverHandler({ channels: { there: channel } }), { channel: "there", ...paid, ...payload });
}

/** The error that a channel's answer of `status` comes to. */
async function refusedWith(channelAt: (server: LocalServer) => Channel, status: number, body: string, headers: Record<string, string> = {}, payload: object = {}): Promise<Error> {
  const server = await answering((_received, response) => response.writeHead(status, headers).end(body));
  return await thrownBy(deliver(channelAt(server), payload));
}

function expectPassing(error: Error): void {
  expect(error).not.toBeInstanceOf(FinalError);
  expect(error).not.toBeInstanceOf(RetryAfter);
}

describe("slack", () => {
  const slack = ({ origin }: LocalServer): Channel => ({ kind: "slack", url: `${origin}/services/T024BE7LD/B0/cAnArY5566`, allowPrivate: true });

  test("is sent the message as text, in which nothing is a sign of Slack's own", async () => {
    const server = await answering((_received, response) => response.end("ok"));
    const message = "Żółć & <!channel> paid <https://evil.example|here> &lt;";
    expect(await deliver(slack(server), { message })).toEqual({ channel: "there", status: 200 });
    const [received] = server.received;
    expect(received).toMatchObject({ method: "POST", url: "/services/T024BE7LD/B0/cAnArY5566" });
    expect(received?.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(received?.body ?? "")).toEqual({ text: "Żółć &amp; &lt;!channel&gt; paid &lt;https://evil.example|here&gt; &amp;lt;" });
  });

  test.each([
    [400, "invalid_payload"],
    [403, "action_prohibited"],
    [404, "no_service"],
    [410, "channel_is_archived"],
  ])("%i %s is final, and its word is in the error", async (status, word) => {
    const error = await refusedWith(slack, status, word);
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toMatch(new RegExp(`^Expected a 2xx answer to POST http://127\\.0\\.0\\.1:\\d+/…, got ${status}: ${word}$`));
  });

  test("429 waits as long as it says; 500 and a connection that breaks are tried again", async () => {
    expect(await refusedWith(slack, 429, "rate_limited", { "Retry-After": "30" })).toMatchObject({ name: "RetryAfter", delayMs: 30_000 });
    expectPassing(await refusedWith(slack, 500, "rollup_error"));
    const broken = await started(serveBytes((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Le")));
    expectPassing(await thrownBy(deliver(slack(broken))));
  });

  test("a redirect is not followed with the secret", async () => {
    const elsewhere = await answering((_received, response) => response.end("ok"));
    const error = await refusedWith(slack, 307, "", { Location: `${elsewhere.origin}/` });
    expect(error).toBeInstanceOf(FinalError);
    expect(elsewhere.connections()).toBe(0);
  });
});

describe("whatsapp", () => {
  const to = "+436601234567";
  const whatsApp = ({ origin }: LocalServer, rest: Partial<WhatsAppChannel> = {}): WhatsAppChannel => ({
    ...{ kind: "whatsapp", phoneNumberId: "106540352242922", token: "EAAcanary5566", baseUrl: `${origin}/v24.0/`, allowPrivate: true },
    ...rest,
  });
  const accepted = { messaging_product: "whatsapp", contacts: [{ input: to, wa_id: "436601234567" }], messages: [{ id: "wamid.HBgL", message_status: "accepted" }] };

  async function sent(rest: Partial<WhatsAppChannel>, payload: object): Promise<unknown> {
    const server = await answering((_received, response) => response.end(JSON.stringify(accepted)));
    expect(await deliver(whatsApp(server, rest), payload)).toEqual({ channel: "there", status: 200, messageId: "wamid.HBgL" });
    const [received] = server.received;
    expect(received).toMatchObject({ method: "POST", url: "/v24.0/106540352242922/messages" });
    expect(received?.headers).toMatchObject({ authorization: "Bearer EAAcanary5566", "content-type": "application/json" });
    return JSON.parse(received?.body ?? "");
  }

  const common = { messaging_product: "whatsapp", recipient_type: "individual", to, biz_opaque_callback_data: jobId };

  test("is sent a text, with the job's id to be handed back in reports", async () => {
    expect(await sent({}, { whatsapp: { to } })).toEqual({ ...common, type: "text", text: { preview_url: false, body: paid.message } });
  });

  test("is sent the channel's template with the message as its only value, on one line", async () => {
    expect(await sent({ template: { name: "notice", language: "en_US" } }, { message: "Order 1042:\n\n  paid\t       now\r\n", whatsapp: { to } })).toEqual({
      ...common,
      type: "template",
      template: { name: "notice", language: { code: "en_US" }, components: [{ type: "body", parameters: [{ type: "text", text: "Order 1042: paid now" }] }] },
    });
  });

  test("is sent the payload's template before the channel's, with its own values or with none", async () => {
    const template = { name: "order_paid", language: "de" };
    const channel = { template: { name: "notice", language: "en_US" } };
    expect(await sent(channel, { whatsapp: { to, template: { ...template, values: ["Ada", "1042"] } } })).toMatchObject({
      template: { name: "order_paid", language: { code: "de" }, components: [{ type: "body", parameters: [{ type: "text", text: "Ada" }, { type: "text", text: "1042" }] }] },
    });
    expect(await sent(channel, { whatsapp: { to, template: { ...template, values: [] } } })).toMatchObject({ template: { name: "order_paid", language: { code: "de" } } });
  });

  test.each(["", "{}", "<html>", '{"messages":[]}', '{"messages":[{"id":7}]}', "[]", "null"])("an answer of 200 with the body %j is a message without an id", async (body) => {
    const server = await answering((_received, response) => response.end(body));
    expect(await deliver(whatsApp(server), { whatsapp: { to } })).toEqual({ channel: "there", status: 200, messageId: null });
  });

  const failure = (status: number, error: object, headers: Record<string, string> = {}) =>
    refusedWith(whatsApp, status, JSON.stringify({ error: { message: "(#1) the reason", type: "OAuthException", fbtrace_id: "Az8", ...error } }), headers, { whatsapp: { to } });

  test.each([
    [400, 1], [503, 2], [400, 130_429], [500, 131_000], [500, 131_016], [400, 131_056], [503, 133_004],
  ])("%i with the code %i is tried again after the backoff", async (status, code) => {
    const error = await failure(status, { code });
    expectPassing(error);
    expect(error.message).toMatch(new RegExp(`^Expected WhatsApp to take the message \\(POST http://127\\.0\\.0\\.1:\\d+/v24\\.0/106540352242922/messages\\), got ${status} with the code ${code}: .*the reason`));
  });

  test.each([
    [401, 0], [500, 3], [400, 4], [403, 10], [401, 190], [403, 200], [403, 299], [403, 368], [400, 80_007], [403, 131_005], [403, 131_031], [400, 131_042], [500, 131_045], [400, 131_048], [500, 131_057], [400, 133_010],
  ])("%i with the code %i is about the account: tried again, not before ten minutes", async (status, code) => {
    const error = await failure(status, { code });
    expect(error).toMatchObject({ name: "RetryAfter", delayMs: 600_000 });
    expect(error.message).toContain("This is about the account");
  });

  test.each([
    [400, 33], [400, 100], [400, 131_008], [400, 131_009], [400, 131_021], [400, 131_026], [400, 131_047], [400, 131_049], [400, 131_051], [400, 132_000], [404, 132_001], [400, 132_015], [400, 135_000],
  ])("%i with the code %i is about the message: final", async (status, code) => {
    expect(await failure(status, { code })).toBeInstanceOf(FinalError);
  });

  test("Retry-After, and Meta's own word that an error passes, go before what is known of a code", async () => {
    expect(await failure(400, { code: 130_429 }, { "Retry-After": "7" })).toMatchObject({ name: "RetryAfter", delayMs: 7000 });
    expect(await failure(400, { code: 80_007 }, { "Retry-After": "7" })).toMatchObject({ name: "RetryAfter", delayMs: 7000 });
    expectPassing(await failure(400, { code: 999_999, is_transient: true }));
    expect(await failure(400, { code: 999_999, is_transient: "yes" })).toBeInstanceOf(FinalError);
  });

  test("without a code the status decides; an error inside a 200 is no success", async () => {
    expect(await refusedWith(whatsApp, 404, "<html>", {}, { whatsapp: { to } })).toBeInstanceOf(FinalError);
    expectPassing(await refusedWith(whatsApp, 502, "<html>bad gateway", {}, { whatsapp: { to } }));
    expect(await refusedWith(whatsApp, 400, '{"error":"no"}', {}, { whatsapp: { to } })).toBeInstanceOf(FinalError);
    expect(await refusedWith(whatsApp, 429, "{}", { "Retry-After": "9" }, { whatsapp: { to } })).toMatchObject({ name: "RetryAfter", delayMs: 9000 });
    expectPassing(await failure(200, { code: 131_026 }));
  });
});

describe("webhook", () => {
  const webhook = ({ origin }: LocalServer, headers: Record<string, string> = {}): Channel => ({ kind: "webhook", url: `${origin}/notices?key=canary5566`, headers, allowPrivate: true });

  test("is sent the notification as JSON, with an id that is the same on every attempt and the configured headers", async () => {
    const server = await answering((_received, response) => response.writeHead(202).end());
    expect(await deliver(webhook(server, { Authorization: "Bearer canary5566" }))).toEqual({ channel: "there", status: 202 });
    await deliver(webhook(server));
    const [first, second] = server.received.map(({ body }) => JSON.parse(body) as { createdAt: string });
    expect(first).toEqual({ id: jobId, ...paid, createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) });
    expect(second).toMatchObject({ id: jobId });
    expect(server.received[0]).toMatchObject({ method: "POST", url: "/notices?key=canary5566" });
    expect(server.received[0]?.headers).toMatchObject({ authorization: "Bearer canary5566", "idempotency-key": jobId, "content-type": "application/json" });
  });

  test("4xx are final, 5xx and a time-out of the attempt are not", async () => {
    expect(await refusedWith(webhook, 422, "no")).toBeInstanceOf(FinalError);
    expectPassing(await refusedWith(webhook, 503, "later"));
  });
});

test("a job that is stopped ends its request, with the reason it was stopped for", async () => {
  const stop = new AbortController();
  const reason = new Error("the worker is stopping");
  const server = await started(serveBytes(() => stop.abort(reason)));
  const handler = notificationDeliverHandler({ channels: { there: { kind: "webhook", url: server.origin, allowPrivate: true } } });
  expect(await thrownBy(runHandler(handler, { channel: "there", ...paid }, { signal: stop.signal }))).toBe(reason);
  await server.idle();
});

test("a channel whose name leads into the own network is refused, final, and nothing is sent", async () => {
  const server = await answering((_received, response) => response.end());
  for (const channel of [
    { kind: "webhook", url: `http://crm.example.com:${server.port}/` },
    { kind: "slack", url: `https://hooks.example.com:${server.port}/services/a` },
    { kind: "whatsapp", phoneNumberId: "1", token: "t", baseUrl: `https://graph.example.com:${server.port}` },
  ] as const) {
    const handler = notificationDeliverHandler({ channels: { there: channel }, resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });
    const error = await thrownBy(runHandler(handler, { channel: "there", ...paid, whatsapp: { to: "+436601234567" } }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain("Expected a target with a public address");
  }
  expect(server.connections()).toBe(0);
});

test("a delivery has five attempts of half a minute each", () => {
  expect(notificationDeliver).toMatchObject({ maxAttempts: 5, timeoutMs: 30_000 });
});
