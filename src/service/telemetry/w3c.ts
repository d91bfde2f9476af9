// W3C Trace Context, as it is stored with a job. Not by the app's propagator: the process that runs the job may have another
// one, or none. What was read from the table may come from any program in any language, so it is not trusted.

import type { SpanContext } from "@opentelemetry/api";
import type { Trace } from "../../outbox/tracing.ts";

type Api = typeof import("@opentelemetry/api");

/** The length that every system must pass on; a longer state is left out, for a part of it would be wrong. */
const maxStateLength = 512;

const printable = /^[\x20-\x7e]+$/;
const form = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

export function traceOf({ traceId, spanId, traceFlags, traceState }: SpanContext): Trace {
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`,
    tracestate: stateOf(traceState?.serialize()),
  };
}

/** Null: there is none, or it is none that can be followed. */
export function spanContextOf({ createTraceState, isSpanContextValid }: Api, trace: Trace | null): SpanContext | null {
  const [, version, traceId = "", spanId = "", flags = "00", more] = form.exec(trace?.traceparent ?? "") ?? [];
  if (version === "00" && more !== "") return null; // only later versions may say more
  const state = stateOf(trace?.tracestate);
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true, ...(state !== null && { traceState: createTraceState(state) }) };
  return isSpanContextValid(context) ? context : null;
}

function stateOf(state: string | null | undefined): string | null {
  return typeof state === "string" && state.length <= maxStateLength && printable.test(state) ? state : null;
}
