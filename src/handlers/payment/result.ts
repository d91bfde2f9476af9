// What a payment job stores as its result.

import type { PaymentObject } from "./answer.ts";

/**
 * Of the provider's answer. Chosen field by field: a payment intent also holds a client_secret, with which the payment can
 * be carried on.
 */
export function resultOf({ id, status, amount, amount_received: amountReceived, currency }: PaymentObject): Record<string, unknown> {
  return { id, status, amount: amount ?? null, ...(typeof amountReceived === "number" && { amountReceived }), ...(typeof currency === "string" && { currency }) };
}
