// The fields that the payloads of payment.capture, payment.cancel and payment.refund share.

import { z } from "zod";

const word = /^[A-Za-z0-9_-]{1,100}$/;

/** It becomes a part of the URL and of the idempotency key, so it is an id and nothing else. */
export const paymentIntentId = z.string().regex(word, 'expected the id of a payment intent, such as "pi_3MrPBM2eZvKYlo2C1TEMacFD"');

/** In the smallest unit of the currency: cents, or whole yen. */
export const amount = z.int().positive().optional();

/** Tells one operation on a payment intent from another of the same kind, such as a second partial refund. */
export const operationId = z.string().regex(word, "expected 1 to 100 letters, digits, - and _").optional();

/** The same for every job that means this operation: the provider performs it once. */
export function operationKey(id: string, operation: "capture" | "cancel" | "refund", ofMany: string | undefined): string {
  return ofMany === undefined ? `${id}_${operation}` : `${id}_${operation}_${ofMany}`;
}
