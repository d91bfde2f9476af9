// What an answer of the payment provider means for the job. Both have the shape of Stripe's API: what was asked for, or
// { error: { type, code, decline_code, message, payment_intent } }. Next: payment-capture.ts (what a refusal may still be).

import { z } from "zod";
import { FinalError, RetryAfter } from "../../outbox/errors.ts";
import { failureOf } from "../outbound/failure.ts";
import type { OutboundResponse } from "../outbound/request.ts";
import { withoutSecrets } from "../outbound/secrets.ts";

const text = z.string().nullish().catch(null);
const number = z.number().nullish().catch(null);

/** A payment intent or a refund, as far as it is used here. */
const paymentObject = z.object({
  id: z.string().max(255),
  status: z.string().max(100),
  amount: number,
  /** Of a payment intent: what was captured. */
  amount_received: number,
  currency: text,
  /** Of a refund. */
  failure_reason: text,
  metadata: z.record(z.string(), z.string()).nullish().catch(null),
});
export type PaymentObject = z.output<typeof paymentObject>;

const errorBody = z.object({
  error: z.object({ type: text, code: text, decline_code: text, message: text, payment_intent: paymentObject.nullish().catch(null) }),
});

/** What the provider did, or that it refused for good. Whatever may pass is thrown. */
export type Reply =
  | { readonly kind: "done"; readonly object: PaymentObject }
  | {
      readonly kind: "refused";
      readonly code: string | null;
      /** The payment intent as it is now, when the refusal tells. */
      readonly paymentIntent: PaymentObject | null;
      /** To be thrown, unless the state that was wanted is there already. */
      readonly error: FinalError;
    };

/** 4xx that say "not now", as everywhere (outbound/failure.ts). 409: another request with the same key is under way. */
const passing = new Set([408, 409, 425, 429]);

/** `secrets` are taken out of what messages show of the answer. */
export function replyOf(response: OutboundResponse, secrets: readonly string[]): Reply {
  const { status, headers, target } = response;
  const failed = status >= 400 ? errorBody.safeParse(json(response)).data?.error : undefined;
  if (failed === undefined) {
    failureOf(response); // something between us and the provider has answered, or it is a success
    return { kind: "done", object: read(paymentObject, response, "a payment intent or a refund") };
  }
  const message = `Expected a 2xx answer to ${target}, got ${status} ${sentence(failed, headers["request-id"], secrets)}`;
  // The provider knows best. It says "false" to a 5xx that it has stored under our key and would only repeat.
  const told = headers["stripe-should-retry"];
  if (told === "true" || passing.has(status) || (status >= 500 && told !== "false")) {
    const after = headers["retry-after"];
    throw after === undefined ? new Error(message) : new RetryAfter(after, message);
  }
  const error = new FinalError(status >= 500 ? `${message} It may or may not have acted: look there before you repeat it.` : message);
  return { kind: "refused", code: failed.code ?? null, paymentIntent: failed.payment_intent ?? null, error };
}

/** The body as `schema` has it. Not final when it is something else: a page with status 200 is no payment, and the key makes asking again safe. */
export function read<Value>(schema: z.ZodType<Value>, response: OutboundResponse, what: string): Value {
  const parsed = schema.safeParse(json(response));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  // The body itself is not shown: a payment intent holds a client_secret.
  throw new Error(`Expected ${what} in the answer to ${response.target}, got ${response.status} with ${response.headers["content-type"] ?? "no content type"} that has something else${where}.`);
}

/** A page of the refunds of one payment intent. */
export const refundList = z.object({ data: z.array(paymentObject), has_more: z.boolean().nullish() });

function json({ body }: OutboundResponse): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined; // the schemas say what is wrong; the parser's message would quote the body
  }
}

function sentence(error: z.output<typeof errorBody>["error"], requestId: unknown, secrets: readonly string[]): string {
  const { type, code, decline_code: declineCode, message } = error;
  const names = [type, code, declineCode].filter((name) => typeof name === "string" && name !== "").join(" / ");
  const id = typeof requestId === "string" ? ` (request ${requestId})` : "";
  const said = `${names === "" ? "an error without a name" : names}: ${message ?? "no message"}${id}`;
  return withoutSecrets(said, secrets).replace(/[\p{C}\s]+/gu, " ").trim().slice(0, 600).toWellFormed();
}
