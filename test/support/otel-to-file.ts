// Loaded before a program, by --import, as an app's own set-up of OpenTelemetry is: each span that ends becomes a line of
// the file SPANS_FILE.
import { appendFileSync } from "node:fs";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

export interface WrittenSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly pid: number;
}

const line = (span: ReadableSpan): string => {
  const { traceId, spanId } = span.spanContext();
  return JSON.stringify({ name: span.name, traceId, spanId, parent: span.parentSpanContext?.spanId ?? null, attributes: span.attributes, pid: process.pid } satisfies WrittenSpan);
};

const toFile: SpanProcessor = {
  onStart: () => undefined,
  onEnd: (span) => appendFileSync(process.env.SPANS_FILE ?? "/dev/null", `${line(span)}\n`),
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};

trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [toFile] }));
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
