// payment.cancel: cancels a payment intent, which gives back what was only reserved.
// Next: payment/provider.ts.

import { z } from "zod";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { operationId, operationKey, paymentIntentId } from "./payment/payload.ts";
import type { PaymentSettings } from "./payment/provider.ts";
import { paymentProvider } from "./payment/provider.ts";
import { resultOf } from "./payment/result.ts";
import { paymentRetry, paymentTimeout } from "./payment/retry.ts";

export const paymentCancel = defineJob({
  type: "payment.cancel",
  schema: z.strictObject({
    paymentIntentId,
    reason: z.enum(["duplicate", "fraudulent", "requested_by_customer", "abandoned"]).optional(),
    operationId,
  }),
  retry: paymentRetry,
  timeout: paymentTimeout,
});

/** Throws an OutboxError "CONFIGURATION" when the settings are unusable. */
export function paymentCancelHandler(settings: PaymentSettings): Handler {
  const provider = paymentProvider(settings);
  return handle(paymentCancel, async ({ paymentIntentId: id, reason, operationId: ofMany }, { signal }) => {
    const reply = await provider.post(`/v1/payment_intents/${id}/cancel`, { cancellation_reason: reason }, operationKey(id, "cancel", ofMany), signal);
    if (reply.kind === "done") return resultOf(reply.object);
    // Cancelled is cancelled, whoever did it: by us when the provider has forgotten the key, or in its dashboard.
    const { code, paymentIntent, error } = reply;
    if (code === "payment_intent_unexpected_state" && paymentIntent?.status === "canceled") return { ...resultOf(paymentIntent), already: true };
    throw error;
  });
}
