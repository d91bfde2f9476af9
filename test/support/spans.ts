// An OpenTelemetry SDK as an app would register it, for one test file: its spans are kept in memory.
//   const tracing = traced();  …  tracing.spans("run work");

import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import type { ReadableSpan, Sampler, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

export interface Traced {
  /** Those that have ended, in the order in which they did; of one name, or all. */
  spans(name?: string): ReadableSpan[];
  /** The one span of that name. */
  span(name: string): ReadableSpan;
  /** Runs `work` within a span of the app's own, as a request would be. */
  within<Value>(name: string, work: () => Promise<Value>): Promise<Value>;
  reset(): void;
  /** Nothing is registered any more. */
  unregister(): void;
}

export function traced({ sampler, processors = [] }: { sampler?: Sampler; processors?: SpanProcessor[] } = {}): Traced {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter), ...processors], ...(sampler && { sampler }) });
  if (!trace.setGlobalTracerProvider(provider)) throw new Error("an SDK was registered already");
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const spans = (name?: string) => exporter.getFinishedSpans().filter((span) => name === undefined || span.name === name);
  return {
    spans,
    span(name) {
      const [only, another] = spans(name);
      if (only === undefined || another !== undefined) throw new Error(`expected one span "${name}", got ${spans().map((span) => span.name).join(", ")}`);
      return only;
    },
    within: (name, work) =>
      trace.getTracer("app").startActiveSpan(name, async (span) => {
        try {
          return await work();
        } finally {
          span.end();
        }
      }),
    reset: () => exporter.reset(),
    unregister() {
      trace.disable();
      context.disable();
    },
  };
}
