// How the payment jobs are retried.

import type { Duration } from "../../outbox/duration.ts";
import type { Retry } from "../../outbox/backoff.ts";

/** Six attempts over seven hours: within the day for which the provider remembers an idempotency key. */
export const paymentRetry: Retry = { delays: ["10s", "1m", "10m", "1h", "6h"] };

/** Of one attempt, in which two requests may be made. */
export const paymentTimeout: Duration = "3m";
