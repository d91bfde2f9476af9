// Canaries: whatever a receiver answers, nothing that was sent in confidence is in the job, in the record of its attempts, in
// an event or in the log. Each secret below holds the canary's name; what is stored is searched for it, decoded too.

import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { dataSync, dataSyncHandler } from "../../src/handlers/data-sync.ts";
import { emailSend, emailSendHandler } from "../../src/handlers/email-send.ts";
import { notificationDeliver, notificationDeliverHandler } from "../../src/handlers/notification-deliver.ts";
import { paymentCapture, paymentCaptureHandler } from "../../src/handlers/payment-capture.ts";
import { webhookSend, webhookSendHandler } from "../../src/handlers/webhook-send.ts";
import type { Handler } from "../../src/index.ts";
import { createLog } from "../../src/service/log.ts";
import { logEvents } from "../../src/service/log-events.ts";
import { canary as name, leaksIn } from "../support/canaries.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { startSmtp } from "../support/smtp.ts";
import type { Received } from "./local-server.ts";
import { serve, serveBytes, started, stopAll } from "./local-server.ts";

let db: TestOutbox;
beforeAll(async () => {
  db = await testOutbox();
});
afterAll(() => db.close());
beforeEach(() => db.empty());
afterEach(stopAll);

/** As awkward as a header may hold it: JSON, HTML and URLs each spell it in another way. */
const awkward = `${name}"<&'>\\+/=,;%41 ${name}Tail`; // the name alone is no secret, or half of one would not be found
const inPath = `${name}-Path_0`;
const inQuery = `${name}+"%26`;
const long = `${name}${"Ab9".repeat(1900)}`;
const user = "ann";
const basic = `Basic ${Buffer.from(`${user}:${name} pass`).toString("base64")}`;
const whsec = `whsec_${Buffer.from(`${name}-0123456789-0123456789`).toString("base64")}`;

/** Everything that was stored, told or logged of the jobs. */
async function traces(): Promise<string> {
  const rows = async (table: string) => JSON.stringify((await db.pool.query(`select * from ${table}`)).rows);
  const stderr = new PassThrough();
  const logged = text(stderr);
  for (const format of ["json", "text"] as const) {
    const log = createLog({ level: "debug", format, stderr });
    for (const event of db.events) logEvents(log)(event);
    await log.flush();
  }
  stderr.end();
  return [await rows("outbox"), await rows("outbox_attempt"), await rows("outbox_effect"), inspect(db.events, { depth: 8, maxStringLength: null }), await logged].join("\n");
}

interface Case {
  readonly handler: Handler;
  readonly enqueue: () => Promise<unknown>;
}

const twice = { maxAttempts: 2 };

/** One job for each way in which something secret is sent to `origin`. */
function cases(origin: string): Case[] {
  const there = { allowPrivate: true } as const;
  const notice = { userId: "ada", type: "t", message: "m" };
  const channels = {
    slack: { kind: "slack", url: `${origin}/services/T0/${inPath}/${name}24characters`, ...there },
    webhook: { kind: "webhook", url: `${origin}/${inPath}?key=${inQuery}`, headers: { "X-Whatever": awkward, Authorization: basic, "X-Long": long }, ...there },
    whatsapp: { kind: "whatsapp", phoneNumberId: "1", token: `${name}"<&>token`, baseUrl: origin, ...there },
  } as const;
  const endpoints = {
    http: { kind: "http", url: `${origin}/api?key=${inQuery}`, headers: { Authorization: `Bearer ${awkward}`, Cookie: `session=${name}-session; a=b`, "X-Api": long }, ...there },
    table: { kind: "table", table: "t", key: "id", version: "v" },
  } as const;
  const webhooks = { crm: { url: `${origin}/${inPath}?key=${inQuery}`, secrets: [whsec], headers: { "X-Key": awkward }, ...there } };
  const deliver = notificationDeliverHandler({ channels });
  const sync = dataSyncHandler({ endpoints });
  const enqueue = db.outbox.enqueueAlone.bind(db.outbox);
  return [
    ...Object.keys(channels).map((channel) => ({ handler: deliver, enqueue: () => enqueue(notificationDeliver, { channel, ...notice, whatsapp: { to: "+436601234567" } }, twice) })),
    { handler: sync, enqueue: () => enqueue(dataSync, { source: "s", target: "http", data: { id: 1 } }, twice) },
    { handler: sync, enqueue: () => enqueue(dataSync, { source: "http", target: "table" }, twice) },
    { handler: webhookSendHandler({ webhooks, secrets: [] }), enqueue: () => enqueue(webhookSend, { endpoint: "crm", event: "e", data: {} }, twice) },
    { handler: paymentCaptureHandler({ url: origin, key: `sk_test_${name}"<&'>\\`, allowPrivate: true }), enqueue: () => enqueue(paymentCapture, { paymentIntentId: "pi_1" }, twice) },
  ];
}

/** Runs each job once against `origin`; all of them must fail. Gives back what is left behind. */
async function run(origin: string): Promise<string> {
  const all = cases(origin);
  for (const { enqueue } of all) await enqueue();
  const report = await db.outbox.drain({ handlers: [...new Set(all.map(({ handler }) => handler))] });
  expect(report).toMatchObject({ done: 0 });
  expect(report.retried + report.dead).toBe(all.length);
  return await traces();
}

const told = ({ method, url, headers, body }: Received, values: (text: string) => string = (same) => same): string =>
  [method, values(decodeURI(url)), values(url), ...Object.entries(headers).map(([header, value]) => `${header}: ${values(String(value))}`), body].join(" ");
const html = (plain: string) => plain.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#39;");
/** Those of the request that are secret, the last first: what is shown of an answer is short. */
const secretsIn = (headers: IncomingHttpHeaders) => ["authorization", "cookie", "x-whatever", "x-api", "x-long", "x-key"].flatMap((header) => String(headers[header] ?? "")).filter((value) => value !== "");

type Answer = (received: Received, response: ServerResponse) => void;
const answering = (status: number, body: (received: Received) => string, headers: (received: Received) => Record<string, string> = () => ({})): Answer => (received, response) =>
  response.writeHead(status, headers(received)).end(body(received));

const answers: [string, Answer][] = [
  ...[400, 401, 403, 404, 409, 410, 422, 429, 500, 503].map((status): [string, Answer] => [`${status} with all of the request`, answering(status, (received) => told(received))]),
  ["the URL first", answering(400, ({ url }) => url)],
  ["the path without its slash", answering(404, ({ url }) => `Cannot POST ${url.slice(1)}`)],
  ["each secret first", answering(401, ({ headers }) => secretsIn(headers).join(" | "))],
  ["each secret without its scheme", answering(401, ({ headers }) => secretsIn(headers).map((value) => value.replace(/^\w+ /, "")).join(" | "))],
  ["each word of each secret", answering(401, ({ headers }) => secretsIn(headers).reverse().join(" ").split(/[\s;]+/).reverse().join("\n"))],
  ["Basic credentials, decoded", answering(401, ({ headers }) => Buffer.from(String(headers.authorization).slice(6), "base64").toString())],
  ["the request within JSON", answering(400, (received) => JSON.stringify({ error: told(received) }))],
  ["the request within JSON, with a code of Meta's that passes", answering(400, (received) => JSON.stringify({ error: { code: 130_429, message: told(received) } }))],
  ["the secrets within JSON", answering(400, ({ headers }) => JSON.stringify({ error: { code: 190, message: secretsIn(headers).join() } }))],
  ["the request within HTML", answering(500, (received) => `<h1>${told(received, html)}</h1>`)],
  ["the secrets within HTML", answering(500, ({ headers }) => `<p>${secretsIn(headers).map(html).join("<br>")}`)],
  ["the secrets within a URL", answering(400, ({ headers }) => secretsIn(headers).map(encodeURIComponent).join("&"))],
  ["the secrets as base64", answering(400, ({ headers }) => secretsIn(headers).map((value) => Buffer.from(value).toString("base64")).join(" "))],
  ["the secrets as base64url", answering(400, ({ headers }) => secretsIn(headers).map((value) => Buffer.from(value).toString("base64url")).join(" "))],
  ["a secret after much white space, where what is looked at ends", answering(400, ({ headers }) => `${" ".repeat(4096 - 40)}${secretsIn(headers).at(-1) ?? ""}`)],
  ["the longest secret first", answering(400, ({ headers }) => secretsIn(headers).sort((a, b) => b.length - a.length).join(" "))],
  ["secrets where the answer is cut off", answering(400, ({ headers }) => `${"\n".repeat(65_536 - 20)}${secretsIn(headers)[0] ?? ""}`)],
  ["200 with the request, which is no JSON", answering(200, (received) => `{${told(received)}`)],
  ["200 with the request as its type", answering(200, () => "{", ({ headers }) => ({ "Content-Type": secretsIn(headers)[0] ?? "text/html" }))],
  ["a redirect to a URL with the secrets", answering(302, () => "", ({ url, headers }) => ({ Location: `http://elsewhere.example${url}&x=${encodeURIComponent(secretsIn(headers).join(""))}` }))],
  ["a redirect to a host that is the secret", answering(307, () => "", ({ headers }) => ({ Location: `http://${(secretsIn(headers)[0] ?? "x").replace(/^.* /, "")}/` }))],
  ["Retry-After with the secret", answering(429, () => "", ({ headers }) => ({ "Retry-After": secretsIn(headers)[0] ?? "1" }))],
  ["a status text with the secret", (received, response) => response.writeHead(400, told(received).replaceAll(/[^\x20-\x7e]/g, "").slice(0, 500)).end()],
  ["nothing: it hangs up", (_received, response) => response.destroy()],
];

// Some are no failure for those who only look at the status; all of these are run by jobs that must fail.
const successes = new Set(["200 with the request, which is no JSON", "200 with the request as its type"]);

describe("a receiver that answers with", () => {
  test.each(answers.filter(([what]) => !successes.has(what)))("%s", async (_what, answer) => {
    const server = await started(serve(answer));
    const traced = await run(server.origin);
    expect(server.received.length).toBeGreaterThanOrEqual(7);
    expect(leaksIn(traced)).toEqual([]);
  });

  test.each(answers.filter(([what]) => successes.has(what)))("%s, to whoever wants JSON", async (_what, answer) => {
    const server = await started(serve(answer));
    const all = cases(server.origin);
    for (const { enqueue } of all) await enqueue();
    const report = await db.outbox.drain({ handlers: [...new Set(all.map(({ handler }) => handler))] });
    expect(report.retried + report.dead).toBeGreaterThan(0);
    expect(leaksIn(await traces())).toEqual([]);
  });

  test("its own bytes, which are no HTTP", async () => {
    const server = await started(serveBytes((socket) => socket.end(`${name} 200 OK\r\n${name}\r\n\r\n`)));
    expect(leaksIn(await run(server.origin))).toEqual([]);
  });

  test("nothing, because it is not there, or speaks no TLS", async () => {
    const server = await started(serve((_received, response) => response.end()));
    expect(leaksIn(await run(server.origin.replace("http:", "https:")))).toEqual([]);
    await server.close();
    await db.empty();
    expect(leaksIn(await run(server.origin))).toEqual([]);
  });
});

test("the search finds what it should: a canary in plain letters, in base64 at any offset, and half of one", () => {
  for (const leak of [`x ${name} y`, Buffer.from(`a${name}`).toString("base64"), Buffer.from(`ab${name}`).toString("base64url"), `"${Buffer.from(`abc${name}`).toString("base64")}"`, name.slice(0, 5), name.toUpperCase()]) {
    expect([leak, leaksIn(leak).length > 0]).toEqual([leak, true]);
  }
  expect(leaksIn("nothing [redacted] here")).toEqual([]);
});

describe("an SMTP server that repeats the password", () => {
  const password = `${name} p"<&>\\word`;
  const plain = Buffer.from(`\0${user}\0${password}`).toString("base64");
  const echo = `5.7.0 no ${password}, ${Buffer.from(password).toString("base64")}, ${plain}`;
  const url = (port: number) => `smtp://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  const mail = { to: ["ada@example.com", "bob@example.com"], subject: "s", body: "b" };

  test.each([
    ["when it refuses it", {}, 535],
    ["when it wants it later", {}, 454],
    ["for a recipient", { recipients: { "ada@example.com": { code: 550, text: echo }, "bob@example.com": { code: 550, text: echo } } }, null],
    ["for one recipient of two", { recipients: { "ada@example.com": { code: 550, text: echo } } }, null],
    ["for one recipient of two, who is to come back", { recipients: { "ada@example.com": { code: 450, text: echo } } }, null],
    ["for the mail", { data: { code: 554, text: echo } }, null],
    ["for the mail, which is to come back", { data: { code: 451, text: echo } }, null],
  ])("%s", async (_when, refusals, refusedLogin) => {
    await using smtp = await startSmtp(refusals, {
      onAuth: (_auth, _session, callback) => (refusedLogin === null ? callback(null, { user }) : callback(null, { message: echo, responseCode: refusedLogin })),
    });
    await db.outbox.enqueueAlone(emailSend, mail);
    await db.outbox.drain({ handlers: [emailSendHandler({ smtpUrl: url(smtp.port), from: "no-reply@acme.example", mailDir: "unused", documentsDir: "unused" })] });
    const traced = await traces();
    expect(traced).toContain("5.7.0 no [redacted]");
    expect(leaksIn(traced)).toEqual([]);
  });

  test("is not called with a URL that cannot be used, whose error shows nothing of it", () => {
    for (const broken of [`smtp://u:${name}@host:99999`, `smtp://u:${name}`, name, `smtp://u:%${name}@host`, `smtp://u:p@host/?${name}=1`]) {
      expect(() => emailSendHandler({ smtpUrl: broken, from: "a@acme.example", mailDir: "unused", documentsDir: "unused" })).toThrow(/^(?!.*c4nary)/s);
    }
  });
});
