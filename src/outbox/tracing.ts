// What traces need of the engine: something around an enqueue, and something around an attempt. The core knows no tracing
// library: service/telemetry/open-telemetry.ts joins it to OpenTelemetry.

import type { Enqueued } from "./enqueue.ts";
import type { ClaimedJob, Outcome } from "./job.ts";

/** Where a job comes from, as W3C Trace Context writes it. Stored with the job, and followed by whoever runs it. */
export interface Trace {
  readonly traceparent: string;
  readonly tracestate: string | null;
}

/** The span that an attempt runs in, as logs and the ledger name it. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
}

/** Neither throws, nor gives back anything else, than what it is put around. */
export interface Tracing {
  /** Around one enqueue of jobs of these types. `store` is called at once, with the trace to store them with; null: none. */
  enqueue(types: readonly string[], store: (trace: Trace | null) => Promise<Enqueued[]>): Promise<Enqueued[]>;
  /** Around the engine's own work: what it asks of the database by itself, every second, belongs to nobody's trace. */
  quietly<Value>(work: () => Value): Value;
  /** Around one attempt; says by `runsIn` in which span. */
  run(job: ClaimedJob, attempt: () => Promise<Outcome>): Promise<Outcome>;
}

/** By the job of an attempt, which many functions pass on that have no other business with spans. */
const spans = new WeakMap<object, Span>();

export function runsIn(job: ClaimedJob, span: Span): void {
  spans.set(job, span);
}

/** The span of the attempt that this job was claimed for; null: it is not traced. */
export function spanOf(job: object): Span | null {
  return spans.get(job) ?? null;
}
