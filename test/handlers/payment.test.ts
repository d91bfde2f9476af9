// payment.capture, payment.cancel and payment.refund: what is asked of the provider, what its answers come to, and that
// nothing is paid twice. Refused settings and payloads are in payment-settings.test.ts.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { paymentCancel, paymentCapture, paymentRefund } from "../../src/jobs.ts";
import { paymentCancelHandler } from "../../src/handlers/payment-cancel.ts";
import { paymentCaptureHandler } from "../../src/handlers/payment-capture.ts";
import { paymentRefundHandler } from "../../src/handlers/payment-refund.ts";
import { launcher, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox } from "../support/outbox.ts";
import type { LocalServer } from "./local-server.ts";
import { serve, serveBytes, started, stopAll } from "./local-server.ts";
import { apiKey, provider } from "./payment-provider.ts";

let outbox: TestOutbox;
beforeAll(async () => (outbox = await testOutbox()));
afterAll(() => outbox.close());
beforeEach(async () => {
  outbox.events.length = 0;
  await outbox.pool.query("delete from outbox");
});
afterEach(stopAll);

/** One drain, with the wait of every failed job passed over. */
async function drainNow(url: string) {
  await outbox.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  const settings = { url, key: apiKey };
  return await outbox.outbox.drain({ handlers: [paymentCaptureHandler(settings), paymentCancelHandler(settings), paymentRefundHandler(settings)] });
}
const keysOf = ({ received }: LocalServer) => received.map(({ headers }) => headers["idempotency-key"]);
const formsOf = ({ received }: LocalServer) => received.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));

const capture = (more: { amount?: number; operationId?: string } = {}) => outbox.outbox.enqueueAlone(paymentCapture, { paymentIntentId: "pi_1", ...more });
const cancel = () => outbox.outbox.enqueueAlone(paymentCancel, { paymentIntentId: "pi_1" });
const refund = (more: { amount?: number; operationId?: string } = {}) => outbox.outbox.enqueueAlone(paymentRefund, { paymentIntentId: "pi_1", ...more });
/** An answer in the form of Stripe's errors. */
const anError = (error: object) => JSON.stringify({ error });

describe("what is asked of the provider", () => {
  test("a capture: a form, the key in a header, and payment intent and operation as idempotency key", async () => {
    const stripe = await provider();
    const { id } = await capture();
    expect(await drainNow(stripe.url)).toMatchObject({ done: 1 });
    expect(stripe.server.received).toMatchObject([
      { method: "POST", url: "/v1/payment_intents/pi_1/capture", body: "", headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/x-www-form-urlencoded", "idempotency-key": "pi_1_capture" } },
    ]);
    expect(await outbox.job(id)).toMatchObject({ status: "done", result: { id: "pi_1", status: "succeeded", amount: 1000, amountReceived: 1000, currency: "eur" } });
  });

  test("a capture of a part", async () => {
    const stripe = await provider();
    const { id } = await capture({ amount: 600 });
    await drainNow(stripe.url);
    expect(formsOf(stripe.server)).toEqual([{ amount_to_capture: "600" }]);
    expect((await outbox.job(id)).result).toMatchObject({ status: "succeeded", amountReceived: 600 });
  });

  test("a cancellation with its reason", async () => {
    const stripe = await provider();
    const { id } = await outbox.outbox.enqueueAlone(paymentCancel, { paymentIntentId: "pi_1", reason: "requested_by_customer" });
    await drainNow(stripe.url);
    expect(stripe.server.received).toMatchObject([{ url: "/v1/payment_intents/pi_1/cancel", body: "cancellation_reason=requested_by_customer", headers: { "idempotency-key": "pi_1_cancel" } }]);
    expect((await outbox.job(id)).result).toMatchObject({ id: "pi_1", status: "canceled", amount: 1000 });
  });

  test("a refund with amount and reason, which is marked with its key", async () => {
    const stripe = await provider();
    const { id } = await outbox.outbox.enqueueAlone(paymentRefund, { paymentIntentId: "pi_1", amount: 250, reason: "duplicate" });
    await drainNow(stripe.url);
    expect(stripe.server.received).toMatchObject([{ method: "POST", url: "/v1/refunds", headers: { "idempotency-key": "pi_1_refund" } }]);
    expect(formsOf(stripe.server)).toEqual([{ payment_intent: "pi_1", amount: "250", reason: "duplicate", "metadata[idempotency_key]": "pi_1_refund" }]);
    expect((await outbox.job(id)).result).toEqual({ id: "re_1", status: "succeeded", amount: 250, currency: "eur" });
  });

  test("a second partial refund needs an operationId; without one it is the first again, and another amount is refused", async () => {
    const stripe = await provider();
    await capture();
    await refund({ amount: 100 });
    await drainNow(stripe.url);
    const [same, different, second] = [await refund({ amount: 100 }), await refund({ amount: 200 }), await refund({ amount: 200, operationId: "line-2" })];
    expect(await drainNow(stripe.url)).toMatchObject({ done: 2, dead: 1 });
    expect(stripe.done).toEqual(["captured 1000", "refunded 100", "refunded 200"]);
    expect(keysOf(stripe.server)).toContain("pi_1_refund_line-2");
    expect((await outbox.job(same.id)).result).toMatchObject({ id: "re_1" });
    expect((await outbox.job(different.id)).last_error).toContain("idempotency_error: Keys for idempotent requests can only be used with the same parameters");
    expect((await outbox.job(second.id)).result).toMatchObject({ id: "re_2", amount: 200 });
  });

  test("a path in front of the API's own is kept", async () => {
    const stripe = await started(serve((_received, response) => response.end('{"id":"pi_1","status":"succeeded"}')));
    await capture();
    await drainNow(`${stripe.origin}/stand-in/`);
    expect(stripe.received[0]?.url).toBe("/stand-in/v1/payment_intents/pi_1/capture");
  });
});

describe("what is repeated is done once", () => {
  test("the provider dies after it has acted: the next attempt has the same key, and is given the same answer", async () => {
    let dies = true;
    const stripe = await provider({
      after: (_received, response) => {
        if (dies) response.destroy();
        return dies;
      },
    });
    const { id } = await capture();
    expect(await drainNow(stripe.url)).toMatchObject({ retried: 1 });
    expect((await outbox.job(id)).last_error).toContain("a failed connection");
    dies = false;
    expect(await drainNow(stripe.url)).toMatchObject({ done: 1 });
    expect(keysOf(stripe.server)).toEqual(["pi_1_capture", "pi_1_capture"]);
    expect(stripe.done).toEqual(["captured 1000"]);
  });

  test("kill -9 while the provider works: the next drain asks with the same key, and one refund is paid", async () => {
    const arrived = barrier();
    const stripe = await provider({
      after: () => {
        if (stripe.done.length !== 1 || stripe.server.received.length !== 1) return false;
        arrived.open(); // paid, and the answer never comes
        return true;
      },
    });
    const { id } = await refund({ amount: 300 });
    const env = { DATABASE_URL: outbox.url, PAYMENT_API_URL: stripe.url, PAYMENT_API_KEY: apiKey, LOG_LEVEL: "debug" };
    const drain = () => start(process.execPath, [launcher, "jobs:drain"], env);
    const killed = drain();
    await arrived.reached;
    killed.child.kill("SIGKILL");
    await killed.ended;
    await outbox.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour'");
    const { code, stdout, stderr } = await drain().ended;
    expect(code).toBe(0);
    expect(keysOf(stripe.server)).toEqual(["pi_1_refund", "pi_1_refund"]);
    expect(stripe.done).toEqual(["refunded 300"]);
    expect(await outbox.job(id)).toMatchObject({ status: "done", attempts: 2, result: { id: "re_1" } });
    expect(stdout + stderr).not.toContain("canary");
  });

  test("a refund that is redriven after the provider has forgotten the key is found, and not paid again", async () => {
    let dies = true;
    const stripe = await provider({
      after: (_received, response) => {
        if (dies) response.destroy();
        return dies;
      },
    });
    const mine = await refund({ amount: 300 });
    await outbox.pool.query("update outbox set max_attempts = 1");
    expect(await drainNow(stripe.url)).toMatchObject({ dead: 1 });
    expect(stripe.done).toEqual(["refunded 300"]);

    dies = false;
    stripe.forget();
    const another = await refund({ amount: 300, operationId: "second" });
    await outbox.pool.query("update outbox set status = 'pending', created_at = created_at - interval '24 hours'");
    expect(await drainNow(stripe.url)).toMatchObject({ done: 2 });
    expect((await outbox.job(mine.id)).result).toEqual({ id: "re_1", status: "succeeded", amount: 300, currency: "eur", already: true });
    expect((await outbox.job(another.id)).result).toMatchObject({ id: "re_2" });
    expect(stripe.done).toEqual(["refunded 300", "refunded 300"]);
  });

  test("when it cannot be found out whether it was refunded, it is not refunded", async () => {
    const stripe = await started(serve(({ method }, response) => response.end(method === "GET" ? '{"data":[],"has_more":true}' : '{"id":"re_9","status":"succeeded"}')));
    const { id } = await refund({ amount: 300 });
    await outbox.pool.query("update outbox set created_at = created_at - interval '24 hours'");
    expect(await drainNow(stripe.origin)).toMatchObject({ dead: 1 });
    expect((await outbox.job(id)).last_error).toContain("Expected at most 100 refunds of pi_1, got more");
    expect(stripe.received.map(({ method, url }) => `${method} ${url}`)).toEqual(["GET /v1/refunds?payment_intent=pi_1&limit=100"]);
  });

  test("captured already, as it was wanted: that is a success, whoever did it", async () => {
    const stripe = await provider();
    Object.assign(stripe.intent, { status: "succeeded", amount_received: 1000 });
    const [whole, same] = [await capture(), await capture({ amount: 1000, operationId: "b" })];
    expect(await drainNow(stripe.url)).toMatchObject({ done: 2 });
    for (const { id } of [whole, same]) expect((await outbox.job(id)).result).toEqual({ id: "pi_1", status: "succeeded", amount: 1000, amountReceived: 1000, currency: "eur", already: true });
    expect(stripe.done).toEqual([]);
  });

  test("captured already, but another amount: a dead letter that says both", async () => {
    const stripe = await provider();
    Object.assign(stripe.intent, { status: "succeeded", amount_received: 400 });
    const [whole, part] = [await capture(), await capture({ amount: 600, operationId: "b" })];
    expect(await drainNow(stripe.url)).toMatchObject({ dead: 2 });
    expect((await outbox.job(whole.id)).last_error).toContain("This job was to capture 1000, and 400 were captured.");
    expect((await outbox.job(part.id)).last_error).toContain("This job was to capture 600, and 400 were captured.");
  });

  test("cancelled already: a success; captured, or to be captured when cancelled: dead letters", async () => {
    const stripe = await provider();
    stripe.intent.status = "canceled";
    const first = await cancel();
    expect(await drainNow(stripe.url)).toMatchObject({ done: 1 });
    expect((await outbox.job(first.id)).result).toMatchObject({ status: "canceled", already: true });
    const late = await capture();
    stripe.forget();
    expect(await drainNow(stripe.url)).toMatchObject({ dead: 1 });
    expect((await outbox.job(late.id)).last_error).toContain("invalid_request_error / payment_intent_unexpected_state: This PaymentIntent could not be captured because it has a status of canceled.");
    stripe.intent.status = "succeeded";
    const tooLate = await cancel();
    expect(await drainNow(stripe.url)).toMatchObject({ dead: 1 });
    expect((await outbox.job(tooLate.id)).last_error).toContain("it has a status of succeeded");
  });
});

describe("what an answer comes to", () => {
  /** A capture after one drain against a provider that answers so. */
  async function after(status: number, body: string, headers: Record<string, string> = {}) {
    const stripe = await started(serve((_received, response) => response.writeHead(status, { "Request-Id": "req_123", ...headers }).end(body)));
    const { id } = await capture();
    await drainNow(stripe.origin);
    return await outbox.job(id);
  }
  const declined = anError({ type: "card_error", code: "card_declined", decline_code: "insufficient_funds", message: "Your card has insufficient funds." });

  test("402 card_declined: a dead letter at once, with type, code, decline code, message and request", async () => {
    const job = await after(402, declined);
    expect(job).toMatchObject({ status: "error", attempts: 1 });
    expect(job.last_error).toMatch(/^FinalError: Expected a 2xx answer to POST http:\/\/127\.0\.0\.1:\d+\/v1\/payment_intents\/pi_1\/capture, got 402 card_error \/ card_declined \/ insufficient_funds: Your card has insufficient funds\. \(request req_123\)$/);
  });

  test.each([400, 401, 403, 404, 422])("%i: a dead letter at once", async (status) => {
    expect(await after(status, anError({ type: "invalid_request_error", message: "No." }))).toMatchObject({ status: "error", attempts: 1, last_error: expect.stringContaining(`got ${status} invalid_request_error: No.`) });
  });

  test.each([409, 429, 500, 502, 503, 504])("%i: tried again", async (status) => {
    expect(await after(status, anError({ type: "api_error", code: "lock_timeout", message: "Busy." }))).toMatchObject({ status: "pending", attempts: 1, last_error: expect.stringContaining(`got ${status} api_error / lock_timeout: Busy.`) });
  });

  test.each([409, 429, 500, 503])("%i with Retry-After: tried again when it says", async (status) => {
    const { id, status: now } = await after(status, anError({ type: "rate_limit", message: "Slow down." }), { "Retry-After": "1800" });
    expect(now).toBe("pending");
    const { rows } = await outbox.pool.query<{ seconds: number }>("select extract(epoch from run_at - clock_timestamp())::float8 as seconds from outbox where id = $1", [id]);
    expect(rows[0]?.seconds).toBeGreaterThan(1700);
    expect(rows[0]?.seconds).toBeLessThanOrEqual(1800);
  });

  test("Stripe-Should-Retry: true to a 400 is tried again", async () => {
    expect(await after(400, anError({ code: "lock_timeout", message: "Busy." }), { "Stripe-Should-Retry": "true" })).toMatchObject({ status: "pending" });
  });

  test("Stripe-Should-Retry: false to a 500 is a dead letter that says what is not known; to a 429 it is tried again", async () => {
    const error = anError({ type: "api_error", message: "Something went wrong." });
    expect(await after(500, error, { "Stripe-Should-Retry": "false" })).toMatchObject({ status: "error", last_error: expect.stringContaining("It may or may not have acted: look there before you repeat it.") });
    expect(await after(429, error, { "Stripe-Should-Retry": "false" })).toMatchObject({ status: "pending" });
  });

  test.each<[number, string, string]>([
    [502, "<html>Bad Gateway</html>", "pending"],
    [503, "", "pending"],
    [403, "<html>Forbidden</html>", "error"],
    [401, '{"error":"invalid_client"}', "error"],
    [302, "", "error"],
  ])("%i with %j comes from something in between: %s", async (status, body, outcome) => {
    expect(await after(status, body)).toMatchObject({ status: outcome, last_error: expect.stringContaining(`got ${status}`) });
  });

  test.each(["", "<html>welcome</html>", "[]", "{}", '{"id":"pi_1"}', '{"id":7,"status":"succeeded"}', '{"id":"pi_1","status":"succ'])("a 200 with %j is no payment: tried again, and the body is not shown", async (body) => {
    const job = await after(200, body, { "Content-Type": "text/html" });
    expect(job).toMatchObject({ status: "pending" });
    expect(job.last_error).toMatch(/Expected a payment intent or a refund in the answer to POST .*, got 200 with text\/html that has something else/);
    expect(job.last_error).not.toContain("welcome");
  });

  test("a refund that the bank does not take is a dead letter; one that is under way is done", async () => {
    const status = { now: "failed" };
    const stripe = await started(serve((_received, response) => response.end(JSON.stringify({ id: "re_1", status: status.now, amount: 5, failure_reason: "lost_or_stolen_card" }))));
    const failed = await refund();
    await drainNow(stripe.origin);
    expect(await outbox.job(failed.id)).toMatchObject({ status: "error", last_error: expect.stringContaining('got the status "failed" (lost_or_stolen_card). The money was not given back') });
    status.now = "pending";
    const pending = await refund();
    await drainNow(stripe.origin);
    expect(await outbox.job(pending.id)).toMatchObject({ status: "done", result: { id: "re_1", status: "pending", amount: 5 } });
  });

  test("a provider that reads the request and hangs up, and one that is not there: tried again", async () => {
    const stripe = await started(serveBytes((socket) => socket.destroy()));
    const { id } = await capture();
    await drainNow(stripe.origin);
    expect(await outbox.job(id)).toMatchObject({ status: "pending", last_error: expect.stringContaining("a failed connection") });
    await stripe.close();
    await drainNow(stripe.origin);
    expect(await outbox.job(id)).toMatchObject({ status: "pending", attempts: 2, last_error: expect.stringContaining("ECONNREFUSED") });
  });
});

test("neither the key nor a client_secret is in an error, an event or a row, even if the provider repeats all it got", async () => {
  const statuses = [400, 500, 502, 403];
  const stripe = await provider({
    before: ({ headers }, response) => {
      const status = statuses.shift();
      if (status === undefined) return false;
      const said = `${JSON.stringify(headers)} ${apiKey}`;
      response.writeHead(status, { "X-Echo": apiKey }).end(status === 502 || status === 403 ? said : anError({ type: "api_error", code: apiKey, message: said, payment_intent: { id: "pi_1", status: "x", client_secret: "canary" } }));
      return true;
    },
  });
  for (let n = 0; n < 5; n += 1) await capture({ operationId: `n${n}` });
  const report = await drainNow(stripe.url);
  expect(report).toMatchObject({ done: 1, retried: 2, dead: 2 });
  const { rows } = await outbox.pool.query("select to_jsonb(o) as job, (select jsonb_agg(a) from outbox_attempt a where a.job_id = o.id) as attempts from outbox o");
  const seen = JSON.stringify([rows, outbox.events]);
  expect(seen).toContain("[redacted]");
  expect(seen).not.toContain("canary");
});
