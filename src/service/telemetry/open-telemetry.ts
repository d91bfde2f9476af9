// Traces by OpenTelemetry, when the app has registered an SDK: a span around each enqueue that happens within one, and a
// span around each attempt, in the same trace. Names and attributes: attributes.ts. What is stored with a job: w3c.ts.

import { createRequire } from "node:module";
import type { Span, SpanContext } from "@opentelemetry/api";
import type { Outcome } from "../../outbox/job.ts";
import type { Tracing } from "../../outbox/tracing.ts";
import { runsIn } from "../../outbox/tracing.ts";
import { version } from "../version.ts";
import { ofAttempt, ofEnqueue, ofEnqueued, ofOutcome } from "./attributes.ts";
import { spanContextOf, traceOf } from "./w3c.ts";

type Api = typeof import("@opentelemetry/api");

/** Where every copy of the API, of whatever version 1, keeps what was registered. */
const registry = Symbol.for("opentelemetry.js.api.1");

/** By this key of a context SDKs make no spans within it, nor do instrumentations, such as that of pg. */
const suppressed = Symbol.for("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/**
 * Looked at for each enqueue and each attempt: a program without OpenTelemetry never loads its API, and an SDK may be
 * registered at any time.
 */
function isRegistered(): boolean {
  const registered = (globalThis as { readonly [registry]?: { readonly trace?: unknown } })[registry]; // as the API puts it there
  return registered?.trace !== undefined;
}

export function openTelemetry(): Tracing {
  let loaded: Api | null | undefined;
  function api(): Api | null {
    if (!isRegistered()) return null;
    // Not by import(): an enqueue begins before anything is awaited.
    if (loaded === undefined) loaded = safely(() => createRequire(import.meta.url)("@opentelemetry/api") as Api); // the package of that name
    return loaded;
  }
  const tracer = ({ trace }: Api) => trace.getTracer("postcommit", version);

  return {
    enqueue(types, store) {
      const otel = types.length === 0 ? null : api();
      const around = otel?.trace.getSpanContext(otel.context.active());
      // Without a span around it there is nothing to be followed: the attempt begins a trace of its own.
      if (otel === null || around === undefined || !otel.isSpanContextValid(around)) return store(null);
      const { name, attributes } = ofEnqueue(types);
      const span = safely(() => tracer(otel).startSpan(name, { kind: otel.SpanKind.PRODUCER, attributes }));
      if (span === null) return store(null);
      return otel.context.with(otel.trace.setSpan(otel.context.active(), span), async () => {
        try {
          const enqueued = await store(traceOf(span.spanContext()));
          end(span, () => span.setAttributes(ofEnqueued(enqueued)));
          return enqueued;
        } catch (error) {
          const { name: errorType, message } = error instanceof Error ? error : new Error(String(error));
          end(span, () => {
            span.setAttribute("error.type", errorType);
            span.recordException(error instanceof Error ? error : message);
            span.setStatus({ code: otel.SpanStatusCode.ERROR, message });
          });
          throw error;
        }
      });
    },

    quietly(work) {
      const otel = api();
      return otel === null ? work() : otel.context.with(otel.ROOT_CONTEXT.setValue(suppressed, true), work);
    },

    run(job, attempt) {
      const otel = api();
      if (otel === null) return attempt();
      const enqueued = spanContextOf(otel, job.trace ?? null);
      // Never the context that the worker happened to be started in: its span may have ended long ago.
      const parent = enqueued === null ? otel.ROOT_CONTEXT : otel.trace.setSpanContext(otel.ROOT_CONTEXT, enqueued);
      const { name, attributes } = ofAttempt(job);
      const links = enqueued === null ? [] : [{ context: enqueued }];
      const span = safely(() => tracer(otel).startSpan(name, { kind: otel.SpanKind.CONSUMER, attributes, links }, parent));
      if (span === null) return otel.context.with(otel.ROOT_CONTEXT, attempt);
      const own: SpanContext = span.spanContext();
      if (otel.isSpanContextValid(own)) runsIn(job, own);
      return otel.context.with(otel.trace.setSpan(parent, span), async () => {
        const outcome = await attempt();
        end(span, () => finish(otel, span, outcome));
        return outcome;
      });
    },
  };
}

function finish({ SpanStatusCode }: Api, span: Span, outcome: Outcome): void {
  const { attributes, failure } = ofOutcome(outcome);
  span.setAttributes(attributes);
  if (failure === null) return;
  const { errorClass: name, message, stack } = failure;
  span.recordException({ name, message, ...(stack !== null && { stack }) });
  span.setStatus({ code: SpanStatusCode.ERROR, message: `${name}: ${message}` });
}

function end(span: Span, say: () => void): void {
  safely(say);
  safely(() => span.end());
}

let warned = false;

/** What the app's SDK or one of its processors throws is no failure of a job. The first is told of as a warning. */
function safely<Value>(work: () => Value): Value | null {
  try {
    return work();
  } catch (error) {
    if (!warned) process.emitWarning(`postcommit could not trace by OpenTelemetry: ${error instanceof Error ? error.message : String(error)}`, { code: "POSTCOMMIT_TRACING" });
    warned = true;
    return null;
  }
}
