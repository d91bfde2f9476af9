// payment.capture: takes the money that a payment intent has reserved, all of it or a part.
// Next: payment/provider.ts.

import { z } from "zod";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { FinalError } from "../outbox/errors.ts";
import type { PaymentObject } from "./payment/answer.ts";
import { amount, operationId, operationKey, paymentIntentId } from "./payment/payload.ts";
import type { PaymentSettings } from "./payment/provider.ts";
import { paymentProvider } from "./payment/provider.ts";
import { resultOf } from "./payment/result.ts";
import { paymentRetry, paymentTimeout } from "./payment/retry.ts";

export const paymentCapture = defineJob({
  type: "payment.capture",
  schema: z.strictObject({
    paymentIntentId,
    /** How much to take, in the smallest unit of the currency; the rest is given back. Default: all that is reserved. */
    amount,
    operationId,
  }),
  retry: paymentRetry,
  timeout: paymentTimeout,
});

/** Throws an OutboxError "CONFIGURATION" when the settings are unusable. */
export function paymentCaptureHandler(settings: PaymentSettings): Handler {
  const provider = paymentProvider(settings);
  return handle(paymentCapture, async ({ paymentIntentId: id, amount: part, operationId: ofMany }, { signal }) => {
    const reply = await provider.post(`/v1/payment_intents/${id}/capture`, { amount_to_capture: part }, operationKey(id, "capture", ofMany), signal);
    if (reply.kind === "done") return resultOf(reply.object);
    const { code, paymentIntent, error } = reply;
    if (code !== "payment_intent_unexpected_state" || paymentIntent?.status !== "succeeded") throw error;
    // Captured already: by us when the provider has forgotten the key, or in its dashboard. Safe to call a success when it
    // is the amount that was wanted, because a payment intent is captured once.
    const problem = otherAmount(part, paymentIntent);
    if (problem !== null) throw new FinalError(`${error.message} ${problem}`, { cause: error });
    return { ...resultOf(paymentIntent), already: true };
  });
}

/** A sentence, when another amount was captured than this job wants, or perhaps was. */
function otherAmount(part: number | undefined, { amount: whole, amount_received: received }: PaymentObject): string | null {
  const wanted = part ?? whole ?? received;
  if (wanted === received || (part === undefined && typeof received !== "number")) return null;
  return `This job was to capture ${String(wanted)}, and ${typeof received === "number" ? `${received} were captured` : "the answer does not say what was captured"}.`;
}
