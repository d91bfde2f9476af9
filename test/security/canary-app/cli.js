// The built command line over an app whose every setting is a secret. All that a span holds becomes a line of SPANS_FILE.
import { appendFileSync } from "node:fs";
import { inspect } from "node:util";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { main } from "../../../dist/main.js";

const toFile = {
  onStart: () => undefined,
  onEnd: ({ name, attributes, status, events }) => appendFileSync(process.env.SPANS_FILE ?? "/dev/null", `${inspect({ name, attributes, status, events }, { depth: 8, maxStringLength: null })}\n`),
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [toFile] }));
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

await main(process.argv.slice(2), import.meta.dirname);
