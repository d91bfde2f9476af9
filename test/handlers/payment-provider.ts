// A payment provider for the tests: what payment.capture, payment.cancel and payment.refund use of Stripe's API, with its
// state machine and its memory for idempotency keys, as a real server.

import type { ServerResponse } from "node:http";
import type { LocalServer, Received } from "./local-server.ts";
import { serve, started } from "./local-server.ts";

export interface Provider {
  readonly server: LocalServer;
  readonly url: string;
  /** What was really done, however often it was asked for. */
  readonly done: string[];
  readonly intent: Record<string, unknown>;
  readonly refunds: Record<string, unknown>[];
  /** Forgets all keys, as Stripe does after a day. */
  forget(): void;
}

export const apiKey = "sk_test_canary4eC39HqLyjWDarjtT1zdp7dc";
const clientSecret = "pi_1_secret_canaryYrKJUKribcBjcG8HVhfZluoGH";

/**
 * `before` may answer in its place, and says so by `true`; `after` may do something with an answer that is ready, and says
 * so by `true`.
 */
export async function provider(hooks: { before?: (received: Received, response: ServerResponse) => boolean; after?: (received: Received, response: ServerResponse) => boolean } = {}): Promise<Provider> {
  const done: string[] = [];
  const refunds: Record<string, unknown>[] = [];
  const remembered = new Map<string, { readonly request: string; readonly status: number; readonly body: unknown }>();
  const intent: Record<string, unknown> = { id: "pi_1", object: "payment_intent", amount: 1000, amount_received: 0, currency: "eur", status: "requires_capture", client_secret: clientSecret };

  function refusal(status: number, code: string, message: string, more: object = {}) {
    return { status, body: { error: { type: "invalid_request_error", code, message, ...more } } };
  }
  function perform({ method, url, body }: Received): { status: number; body: unknown } {
    const form = new URLSearchParams(body);
    if (method === "GET") return { status: 200, body: { object: "list", data: refunds, has_more: false } };
    if (url === "/v1/payment_intents/pi_1/capture") {
      if (intent.status !== "requires_capture") return refusal(400, "payment_intent_unexpected_state", `This PaymentIntent could not be captured because it has a status of ${String(intent.status)}.`, { payment_intent: { ...intent } });
      Object.assign(intent, { status: "succeeded", amount_received: Number(form.get("amount_to_capture") ?? intent.amount) });
      done.push(`captured ${String(intent.amount_received)}`);
      return { status: 200, body: { ...intent } };
    }
    if (url === "/v1/payment_intents/pi_1/cancel") {
      if (intent.status !== "requires_capture") return refusal(400, "payment_intent_unexpected_state", `You cannot cancel this PaymentIntent because it has a status of ${String(intent.status)}.`, { payment_intent: { ...intent } });
      Object.assign(intent, { status: "canceled", cancellation_reason: form.get("cancellation_reason") });
      done.push("cancelled");
      return { status: 200, body: { ...intent } };
    }
    if (url === "/v1/refunds" && form.get("payment_intent") === "pi_1") {
      const amount = Number(form.get("amount") ?? intent.amount_received);
      const refund = { id: `re_${refunds.length + 1}`, object: "refund", amount, currency: "eur", status: "succeeded", reason: form.get("reason"), metadata: { idempotency_key: form.get("metadata[idempotency_key]") } };
      refunds.unshift(refund);
      done.push(`refunded ${amount}`);
      return { status: 200, body: refund };
    }
    return refusal(404, "resource_missing", "No such payment_intent");
  }

  const server = await started(
    serve((received, response) => {
      if (hooks.before?.(received, response) === true) return;
      const answer = remember(received);
      if (hooks.after?.(received, response) === true) return;
      response.writeHead(answer.status, { "Content-Type": "application/json", "Request-Id": "req_123" }).end(JSON.stringify(answer.body));
    }),
  );

  function remember(received: Received): { status: number; body: unknown } {
    const key = String(received.headers["idempotency-key"] ?? "");
    const request = `${received.method} ${received.url} ${received.body}`;
    const known = remembered.get(key);
    if (known !== undefined && known.request !== request) return { status: 400, body: { error: { type: "idempotency_error", message: "Keys for idempotent requests can only be used with the same parameters they were first used with." } } };
    const answer = known ?? { request, ...perform(received) };
    if (key !== "") remembered.set(key, answer);
    return answer;
  }

  return { server, url: server.origin, done, intent, refunds, forget: () => remembered.clear() };
}
