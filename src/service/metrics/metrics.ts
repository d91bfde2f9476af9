// Metrics for Prometheus, by prom-client: of what this process does, from the engine's events, and of what is in the
// database, which is asked when somebody asks. Which there are: definitions.ts.

import type { Counter, Histogram, Registry } from "prom-client";
import type { Duration } from "../../outbox/duration.ts";
import { durationMs } from "../../outbox/duration.ts";
import { OutboxError } from "../../outbox/errors.ts";
import type { Emit } from "../../outbox/events.ts";
import type { Outbox } from "../../outbox/outbox.ts";
import type { DatabaseMetric, Definition } from "./definitions.ts";
import { databaseMetrics, eventMetrics } from "./definitions.ts";
import { cachedMeasures, samplesOf } from "./from-database.ts";
import { countEvents } from "./from-events.ts";
import { boundedNames } from "./labels.ts";

export interface MetricsOptions {
  /** The types that this process has handlers for: they are told apart before any other, and shown from the start. */
  readonly types?: readonly string[];
  /** The app's own registry of prom-client, to be answered for together with what else is in it. Default: one for itself. */
  readonly registry?: Registry;
  /** Job types that are told apart, at most; the jobs of all others have the type "other". The same for schedules. Default: 100. */
  readonly maxTypes?: number;
  /** How old the figures of the database may be. Default: "15s". */
  readonly maxAge?: Duration;
}

export interface Metrics {
  /** To be told of everything that happens: createOutbox's `onEvent`. */
  readonly emit: Emit;
  /** What Prometheus reads. Answers while the database does not, and asks it once in `maxAge` at most. */
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Loads prom-client, so it is called only where metrics are wanted. */
export async function createMetrics(outbox: Pick<Outbox, "measure">, { types = [], registry, maxTypes = 100, maxAge = "15s" }: MetricsOptions = {}): Promise<Metrics> {
  if (!Number.isInteger(maxTypes) || maxTypes < 1) throw new OutboxError("INVALID_OPTION", `Expected maxTypes to be a whole number from 1, got ${String(maxTypes)}.`);
  const { default: prom } = await import("prom-client");
  const into = registry ?? new prom.Registry();
  const names = { types: boundedNames(types, maxTypes), schedules: boundedNames([], maxTypes), own: new Set(types) };

  const counters = new Map<string, Counter>();
  const histograms = new Map<string, Histogram>();
  for (const [name, definition] of Object.entries<Definition>(eventMetrics)) {
    const { kind, help, labels, buckets = [] } = definition;
    if (kind === "counter") counters.set(name, new prom.Counter({ name, help, labelNames: [...labels], registers: [into] }));
    else histograms.set(name, new prom.Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [into] }));
  }
  // A counter that begins with its first failure would hide just that one from increase().
  for (const type of names.types.known()) for (const outcome of ["done", "retried", "dead"]) counters.get("postcommit_attempts_total")?.inc({ type, outcome }, 0);
  const measures = cachedMeasures(() => outbox.measure(), durationMs(maxAge, "maxAge"));
  for (const [name, { help, labels }] of Object.entries<Definition>(databaseMetrics)) {
    new prom.Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [into],
      async collect() {
        const samples = samplesOf(name as DatabaseMetric, await measures(), names); // a key of databaseMetrics
        this.reset(); // what was there before and is no more is gone
        if (labels.length === 0 && samples.length === 0) this.remove(); // or it would say 0
        for (const sample of samples) this.set(sample.labels, sample.value);
      },
    });
  }
  return {
    emit: countEvents(
      {
        add: (metric, labels, by = 1) => counters.get(metric)?.inc(labels, by),
        observe: (metric, labels, seconds) => histograms.get(metric)?.observe(labels, seconds),
      },
      names.types,
      names.schedules,
    ),
    text: async () => ({ body: await into.metrics(), contentType: into.contentType }),
  };
}
