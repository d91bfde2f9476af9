// payment.refund: gives back what a payment intent has taken, all of it or a part.
// Next: payment/earlier-refund.ts (why a repeated refund is not paid twice), payment/provider.ts.

import { z } from "zod";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { FinalError } from "../outbox/errors.ts";
import type { PaymentObject } from "./payment/answer.ts";
import { earlierRefund, mayBeForgotten } from "./payment/earlier-refund.ts";
import { amount, operationId, operationKey, paymentIntentId } from "./payment/payload.ts";
import type { PaymentSettings } from "./payment/provider.ts";
import { paymentProvider } from "./payment/provider.ts";
import { resultOf } from "./payment/result.ts";
import { paymentRetry, paymentTimeout } from "./payment/retry.ts";

export const paymentRefund = defineJob({
  type: "payment.refund",
  schema: z.strictObject({
    paymentIntentId,
    /** How much to give back, in the smallest unit of the currency. Default: all that is left. */
    amount,
    /** "fraudulent" also puts the card and the e-mail address on the provider's block list. */
    reason: z.enum(["duplicate", "fraudulent", "requested_by_customer"]).optional(),
    /** Needed for every refund of a payment intent but its first. */
    operationId,
  }),
  retry: paymentRetry,
  timeout: paymentTimeout,
});

/** Throws an OutboxError "CONFIGURATION" when the settings are unusable. */
export function paymentRefundHandler(settings: PaymentSettings): Handler {
  const provider = paymentProvider(settings);
  return handle(paymentRefund, async ({ paymentIntentId: id, amount: part, reason, operationId: ofMany }, { job, signal }) => {
    const key = operationKey(id, "refund", ofMany);
    const earlier = mayBeForgotten(job) ? await earlierRefund(provider, id, key, signal) : null;
    if (earlier !== null) return { ...refunded(earlier), already: true };
    const form = { payment_intent: id, amount: part, reason, "metadata[idempotency_key]": key };
    const reply = await provider.post("/v1/refunds", form, key, signal);
    if (reply.kind === "done") return refunded(reply.object);
    // That it "has already been refunded" is no success here: not by this job, whose refund would have been found.
    throw reply.error;
  });
}

/** A refund that the provider has made and that did not arrive is none. */
function refunded(refund: PaymentObject): Record<string, unknown> {
  const { id, status, failure_reason: reason } = refund;
  if (status !== "failed" && status !== "canceled") return resultOf(refund);
  throw new FinalError(`Expected the refund ${id} to succeed or to be under way, got the status "${status}"${typeof reason === "string" ? ` (${reason.slice(0, 200)})` : ""}. The money was not given back: arrange it in another way.`);
}
