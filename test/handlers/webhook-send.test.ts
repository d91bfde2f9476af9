// webhook.send: what a receiver gets and can verify, what its answers come to, and what never leaves the process.
// Its configuration and its payload are in webhook-settings.test.ts.

import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FinalError } from "../../src/index.ts";
import type { WebhookPayload } from "../../src/jobs.ts";
import { webhookSend } from "../../src/jobs.ts";
import type { WebhookSettings } from "../../src/handlers/webhook-send.ts";
import { webhookSendHandler } from "../../src/handlers/webhook-send.ts";
import { launcher, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";
import { runHandler } from "../support/run-handler.ts";
import type { Received } from "./local-server.ts";
import { serve, serveBytes, started, stopAll, thrownBy } from "./local-server.ts";

let outbox: TestOutbox;
beforeAll(async () => (outbox = await testOutbox()));
afterAll(() => outbox.close());
beforeEach(async () => {
  outbox.events.length = 0;
  await outbox.pool.query("delete from outbox");
});
afterEach(stopAll);

const aSecret = () => `whsec_${randomBytes(32).toString("base64")}`;
const [secret, newSecret] = [aSecret(), aSecret()];
const paid = { event: "invoice.paid", data: { id: "in_1", amount: 4200, note: "naïve ✓" } };

const answering = (answer: (received: Received, response: ServerResponse) => void) => started(serve(answer));
/** Accepts everything. */
const sink = () => answering((_received, response) => response.writeHead(204).end());
/** For jobs that give a URL of this machine. */
const local = (more: Partial<WebhookSettings> = {}) => webhookSendHandler({ webhooks: {}, secrets: [secret], allowPrivate: true, ...more });
const send = (url: string) => outbox.outbox.enqueueAlone(webhookSend, { url, ...paid });
/** One drain, with the wait of every failed job passed over. */
async function drainNow(handler = local()) {
  await outbox.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  return await outbox.outbox.drain({ handlers: [handler] });
}

/** As a receiver does it, with the public library. */
function verify({ body, headers }: Pick<Received, "body" | "headers">, by = secret): unknown {
  return new Webhook(by).verify(body, headers as Record<string, string>); // each of the three is sent once
}

function theOnly(received: readonly Received[]): Received {
  const [first, ...others] = received;
  if (first === undefined || others.length > 0) throw new Error(`expected one request, got ${received.length}`);
  return first;
}

describe("what a receiver gets", () => {
  test("a POST whose signature the public library verifies, with the event, when it was enqueued, and its data", async () => {
    const server = await sink();
    const { id } = await send(`${server.origin}/hooks?tenant=7`);
    expect(await drainNow()).toMatchObject({ done: 1 });
    const received = theOnly(server.received);
    const { rows } = await outbox.pool.query<{ created_at: Date }>("select created_at from outbox where id = $1", [id]);
    expect(verify(received)).toEqual({ type: "invoice.paid", timestamp: rows[0]?.created_at.toISOString(), data: paid.data });
    expect(Object.keys(JSON.parse(received.body) as object)).toEqual(["type", "timestamp", "data"]);
    expect(received).toMatchObject({ method: "POST", url: "/hooks?tenant=7", headers: { "content-type": "application/json", "webhook-id": id } });
    expect(received.headers["webhook-timestamp"]).toMatch(/^\d{10}$/);
    expect(await outbox.job(id)).toMatchObject({ status: "done", attempts: 1, result: { status: 204 } });
  });

  test("with two secrets there are two signatures, and either secret verifies", async () => {
    const server = await sink();
    await send(server.origin);
    await drainNow(local({ secrets: [newSecret, secret] }));
    const received = theOnly(server.received);
    expect(String(received.headers["webhook-signature"]).split(" ")).toHaveLength(2);
    expect(verify(received, secret)).toEqual(verify(received, newSecret));
    expect(() => verify(received, aSecret())).toThrow("No matching signature");
  });

  test.each<[string, (received: Received) => Pick<Received, "body" | "headers">]>([
    ["another body", ({ body, headers }) => ({ headers, body: body.replace("4200", "9900") })],
    ["one more space in the body", ({ body, headers }) => ({ headers, body: `${body} ` })],
    ["another id", ({ body, headers }) => ({ body, headers: { ...headers, "webhook-id": "another" } })],
    ["another time", ({ body, headers }) => ({ body, headers: { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 1) } })],
  ])("%s does not verify", async (_what, tamper) => {
    const server = await sink();
    await runHandler(local(), { url: server.origin, ...paid });
    const received = theOnly(server.received);
    expect(() => verify(received)).not.toThrow();
    expect(() => verify(tamper(received))).toThrow("No matching signature");
  });

  test.each<[string, unknown]>([
    ["null", null],
    ["a text", "paid"],
    ["an array", [1, { a: null }]],
    ["a field called __proto__", JSON.parse('{ "__proto__": { "a": 1 }, "constructor": 2 }')],
  ])("data that is %s arrives as it is", async (_what, data) => {
    const server = await sink();
    await runHandler(local(), { url: server.origin, event: "a.b", data });
    expect(theOnly(server.received).body).toContain(`"data":${JSON.stringify(data)}}`);
    expect(verify(theOnly(server.received))).toMatchObject({ type: "a.b" });
  });

  test("an endpoint of the configuration is named, and brings its URL, its own secrets and its headers", async () => {
    const server = await sink();
    const crm = { url: `${server.origin}/crm`, secrets: [newSecret], headers: { Authorization: "Bearer abc" }, allowPrivate: true };
    const handler = webhookSendHandler({ webhooks: { crm }, secrets: [secret] });
    await outbox.outbox.enqueueAlone(webhookSend, { endpoint: "crm", ...paid });
    expect(await drainNow(handler)).toMatchObject({ done: 1 });
    const received = theOnly(server.received);
    expect(received).toMatchObject({ url: "/crm", headers: { authorization: "Bearer abc" } });
    expect(verify(received, newSecret)).toMatchObject({ type: "invoice.paid" });
    expect(() => verify(received, secret)).toThrow("No matching signature");
  });
});

describe("repeated attempts", () => {
  test("carry the same id and the same body, each with a signature that verifies", async () => {
    const answers = [500, 0, 204];
    const server = await answering((_received, response) => {
      const status = answers.shift() ?? 204;
      if (status === 0) response.destroy(); // it has read the webhook, and dies before it answers
      else response.writeHead(status).end();
    });
    const { id } = await send(server.origin);
    expect(await drainNow()).toMatchObject({ retried: 1 });
    expect((await outbox.job(id)).last_error).toContain("got 500");
    expect(await drainNow()).toMatchObject({ retried: 1 });
    expect((await outbox.job(id)).last_error).toContain("a failed connection");
    expect(await drainNow()).toMatchObject({ done: 1 });
    expect(server.received.map(({ headers }) => headers["webhook-id"])).toEqual([id, id, id]);
    expect(new Set(server.received.map(({ body }) => body)).size).toBe(1);
    for (const received of server.received) expect(verify(received)).toMatchObject({ type: "invoice.paid" });
  });

  test("a worker that falls silent while the receiver works is followed by another, with the same id", async () => {
    const [arrived, overtaken] = [barrier(), barrier()];
    const server = await answering((_received, response) => {
      if (server.received.length > 1) return response.writeHead(204).end();
      arrived.open();
      void overtaken.reached.then(() => response.writeHead(204).end());
    });
    const { id } = await send(server.origin);
    const silent = drainNow();
    await arrived.reached;
    await outbox.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");
    expect(await outbox.other.drain({ handlers: [local()] })).toMatchObject({ done: 1 });
    overtaken.open();
    expect(await silent).toMatchObject({ done: 0, lost: 1 });
    expect(server.received.map(({ headers }) => headers["webhook-id"])).toEqual([id, id]);
    expect(await outbox.job(id)).toMatchObject({ status: "done", attempts: 2 });
  });

  test("kill -9 before the answer: the next drain sends the same id, by the settings of the environment, and logs no secret", async () => {
    const arrived = barrier();
    const server = await answering((_received, response) => {
      if (server.received.length === 1) arrived.open();
      else response.writeHead(204).end();
    });
    const { id } = await send(server.origin);
    const env = { DATABASE_URL: outbox.url, WEBHOOK_SECRET: `${newSecret} ${secret}`, WEBHOOK_ALLOW_PRIVATE: "true", LOG_LEVEL: "debug" };
    const drain = () => start(process.execPath, [launcher, "jobs:drain"], env);
    const killed = drain();
    await arrived.reached;
    killed.child.kill("SIGKILL");
    await killed.ended;
    await outbox.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");
    const { code, stdout, stderr } = await drain().ended;
    expect(code).toBe(0);
    expect(server.received.map(({ headers }) => headers["webhook-id"])).toEqual([id, id]);
    for (const received of server.received) expect(verify(received, newSecret)).toEqual(verify(received, secret));
    expect(await outbox.job(id)).toMatchObject({ status: "done", attempts: 2 });
    for (const canary of [secret, newSecret]) expect(stdout + stderr).not.toContain(canary.slice("whsec_".length));
  });

  test("are eight, over more than a day and less than two", () => {
    expect(webhookSend.maxAttempts).toBe(8);
    expect(webhookSend.retry).toEqual({ delays: ["5s", "5m", "30m", "2h", "5h", "10h", "14h"] });
  });
});

describe("what an answer comes to", () => {
  /** The job after one drain against a receiver that answers so. */
  async function after(status: number, headers: Record<string, string> = {}, body = "why") {
    const server = await answering((_received, response) => response.writeHead(status, headers).end(body));
    const { id } = await send(`${server.origin}/hook`);
    await drainNow();
    expect(server.received).toHaveLength(1);
    return await outbox.job(id);
  }

  test.each([200, 201, 202, 204, 299])("%i: done", async (status) => {
    expect(await after(status)).toMatchObject({ status: "done", result: { status } });
  });

  test("410 ends it at once: the endpoint asked to stop", async () => {
    const job = await after(410, {}, "gone");
    expect(job).toMatchObject({ status: "error", attempts: 1 });
    expect(job.last_error).toMatch(/^FinalError: Expected a 2xx answer to POST http:\/\/127\.0\.0\.1:\d+\/hook, got 410 Gone: the endpoint asked to stop\. Enqueue nothing more for its URL/);
  });

  test("410 of a named endpoint says which to take out of the configuration", async () => {
    const server = await answering((_received, response) => response.writeHead(410).end());
    const crm = { url: server.origin, secrets: [secret], allowPrivate: true };
    const error = await thrownBy(runHandler(webhookSendHandler({ webhooks: { crm }, secrets: [] }), { endpoint: "crm", ...paid }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain('Take the endpoint "crm" out of the configuration');
  });

  test.each([400, 401, 404, 422])("%i: a dead letter at once, with what the receiver said", async (status) => {
    expect(await after(status)).toMatchObject({ status: "error", attempts: 1, last_error: expect.stringContaining(`got ${status}: why`) });
  });

  test.each([301, 302, 307, 308])("%i: a dead letter; the redirect is not followed", async (status) => {
    const elsewhere = await sink();
    expect(await after(status, { Location: elsewhere.origin })).toMatchObject({ status: "error", last_error: expect.stringContaining("a redirect to") });
    expect(elsewhere.connections()).toBe(0);
  });

  test.each([408, 409, 500, 502, 504])("%i: tried again", async (status) => {
    expect(await after(status)).toMatchObject({ status: "pending", attempts: 1, last_error: expect.stringContaining(`got ${status}`) });
  });

  test.each([429, 503])("%i with Retry-After: tried again when it says", async (status) => {
    const { status: now, id } = await after(status, { "Retry-After": "7200" });
    expect(now).toBe("pending");
    const { rows } = await outbox.pool.query<{ seconds: number }>("select extract(epoch from run_at - clock_timestamp())::float8 as seconds from outbox where id = $1", [id]);
    expect(rows[0]?.seconds).toBeGreaterThan(7100);
    expect(rows[0]?.seconds).toBeLessThanOrEqual(7200);
  });

  test("a receiver that is not there: tried again", async () => {
    const server = await sink();
    await server.close();
    const { id } = await send(server.origin);
    await drainNow();
    expect(await outbox.job(id)).toMatchObject({ status: "pending", last_error: expect.stringContaining("ECONNREFUSED") });
  });

  test("a job that is stopped ends its request, with the reason it was stopped for", async () => {
    const stop = new AbortController();
    const reason = new Error("the worker is stopping");
    const server = await started(serveBytes(() => stop.abort(reason)));
    expect(await thrownBy(runHandler(local(), { url: server.origin, ...paid }, { signal: stop.signal }))).toBe(reason);
    await server.idle();
  });
});

describe("what never leaves", () => {
  test("no secret, no signature and no header of ours is in an error, an event or a row, even if the receiver repeats all it got", async () => {
    const server = await answering((received, response) => response.writeHead(Number(received.url.slice(1, 4))).end(JSON.stringify([received.url, received.headers])));
    const webhooks = Object.fromEntries(
      [400, 500, 200].map((status) => [String(status), { url: `${server.origin}/${status}/canary-path?token=canary-query`, secrets: [secret, newSecret], headers: { Authorization: "Bearer canary-4711", "X-Api-Key": "canary-0815" }, allowPrivate: true }]),
    );
    for (const endpoint of Object.keys(webhooks)) await outbox.outbox.enqueueAlone(webhookSend, { endpoint, ...paid });
    expect(await drainNow(webhookSendHandler({ webhooks, secrets: [secret] }))).toMatchObject({ done: 1, retried: 1, dead: 1 });
    expect(server.received).toHaveLength(3);
    const { rows } = await outbox.pool.query("select to_jsonb(o) as job, (select jsonb_agg(a) from outbox_attempt a where a.job_id = o.id) as attempts from outbox o");
    const seen = JSON.stringify([rows, outbox.events.map((event) => ("error" in event ? [event, String(event.error)] : event))]);
    expect(seen).toContain("[redacted]");
    expect(seen).not.toMatch(/canary/);
    for (const each of [secret, newSecret]) expect(seen).not.toContain(each.slice("whsec_".length));
    for (const { headers } of server.received) for (const signature of String(headers["webhook-signature"]).split(" ")) expect(seen).not.toContain(signature.slice(3));
  });

  test.each([
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://127.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://10.0.0.8/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "https://168.63.129.16/",
  ])("a job cannot make it talk to %s", async (url) => {
    const server = await sink();
    const { id } = await send(url.replace("{port}", String(server.port)));
    expect(await drainNow(local({ allowPrivate: false }))).toMatchObject({ dead: 1 });
    expect((await outbox.job(id)).last_error).toMatch(/Expected a target with a public address.*Nothing was sent/);
    expect(server.connections()).toBe(0);
  });

  test("nor a name that leads into the own network, or that says so only the second time", async () => {
    const server = await sink();
    const addresses = [["93.184.216.34", "10.0.0.1"], ["127.0.0.1"]];
    const handler = local({ allowPrivate: false, resolve: () => Promise.resolve((addresses.shift() ?? []).map((address) => ({ address, family: 4 }))) });
    const payload: WebhookPayload = { url: `http://hooks.example.com:${server.port}/`, ...paid };
    for (const address of ["10.0.0.1", "127.0.0.1"]) {
      const error = await thrownBy(runHandler(handler, payload));
      expect(error).toBeInstanceOf(FinalError);
      expect(error.message).toContain(address);
    }
    expect(server.connections()).toBe(0);
  });
});
