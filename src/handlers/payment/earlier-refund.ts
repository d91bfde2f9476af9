// Keeps a refund from being paid twice when the job is repeated after the provider has forgotten its idempotency key: by a
// worker that comes back after days, or by a redrive. A capture or a cancellation needs no such care, because a payment
// intent is captured or cancelled once; but it can be refunded in parts, and a second part looks like the first.

import { FinalError } from "../../outbox/errors.ts";
import type { ClaimedJob } from "../../outbox/job.ts";
import type { PaymentObject } from "./answer.ts";
import type { PaymentProvider } from "./provider.ts";

/** Stripe may remove keys once they are 24 hours old; an attempt that begins now ends well within the last hour. */
const rememberedMs = 23 * 3_600_000;

/** Whether the provider may have forgotten a key that the job's first attempt has used. Both times are the database's. */
export function mayBeForgotten({ createdAt, startedAt }: Pick<ClaimedJob, "createdAt" | "startedAt">): boolean {
  return startedAt.getTime() - createdAt.getTime() > rememberedMs;
}

/** The refund that was made under this key; null when none was. */
export async function earlierRefund(provider: PaymentProvider, paymentIntentId: string, key: string, signal: AbortSignal): Promise<PaymentObject | null> {
  const { refunds, more } = await provider.refunds(paymentIntentId, signal);
  const found = refunds.find(({ metadata }) => metadata?.idempotency_key === key);
  if (found !== undefined || !more) return found ?? null;
  throw new FinalError(`Expected at most 100 refunds of ${paymentIntentId}, got more, and none of the newest has the key ${key}. Look at the provider whether this one was made, and do not repeat it otherwise.`);
}
