// What the database is asked for, seldom: an answer serves every scrape of the next 15 s, and one question is under way at
// a time, however many ask and however slow the database is.

import { setTimeout as sleep } from "node:timers/promises";
import type { Measures, TypeMeasures } from "../../outbox/inspect-measures.ts";
import type { DatabaseMetric } from "./definitions.ts";
import type { BoundedNames } from "./labels.ts";

/** A scrape waits for the database no longer than this: Prometheus itself gives up after 10 s. */
const answerLimitMs = 5000;
/** A database that has failed to answer is asked again after this time, or after as long as it took to fail. */
const failedForMs = 1000;
/** What takes longer than this to count, many types with a large backlog each, is counted for a fiftieth of the time at most. */
const slowMs = 1000;
const restAfterSlow = 50;

/** The measures, as fresh as `maxAgeMs` asks for; null while the database does not answer. Never rejects. */
export function cachedMeasures(measure: () => Promise<Measures>, maxAgeMs: number): () => Promise<Measures | null> {
  let last: { readonly measures: Measures | null; readonly goodUntil: number } | null = null;
  let asking: Promise<Measures | null> | null = null;

  async function ask(): Promise<Measures | null> {
    const askedAt = performance.now();
    const measures = await measure().catch(() => null); // why, is for the log and for `health:db`
    const tookMs = performance.now() - askedAt;
    const goodForMs = measures === null ? Math.max(failedForMs, tookMs) : Math.max(maxAgeMs, tookMs > slowMs ? tookMs * restAfterSlow : 0);
    last = { measures, goodUntil: performance.now() + goodForMs };
    asking = null;
    return measures;
  }

  return async () => {
    if (last !== null && performance.now() < last.goodUntil) return last.measures;
    asking ??= ask();
    const waited = new AbortController();
    try {
      return await Promise.race([asking, sleep(answerLimitMs, null, { signal: waited.signal, ref: false })]);
    } finally {
      waited.abort();
    }
  };
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const breakerStates = { closed: 0, "half-open": 1, open: 2 } as const;
const statuses = ["waiting", "pending", "processing", "error"] as const satisfies (keyof TypeMeasures)[];

/** The samples of one metric. `own` are the types that this process has handlers for. */
export function samplesOf(metric: DatabaseMetric, measures: Measures | null, names: { readonly types: BoundedNames; readonly schedules: BoundedNames; readonly own: ReadonlySet<string> }): Sample[] {
  if (metric === "postcommit_database_up") return [{ labels: {}, value: measures === null ? 0 : 1 }];
  if (measures === null) return [];
  const byType = (valueOf: (type: TypeMeasures) => number, join: (one: number, other: number) => number) => joined("type", names.types, measures.types.map((type) => [type.type, valueOf(type)]), join);
  switch (metric) {
    case "postcommit_jobs":
      return statuses.flatMap((status) => byType((type) => type[status], sum).map(({ labels, value }) => ({ labels: { ...labels, status }, value })));
    case "postcommit_oldest_due_seconds":
      return byType(({ oldestDueMs }) => oldestDueMs / 1000, Math.max);
    case "postcommit_unhandled_jobs":
      return byType(({ type, handled, pending }) => (handled || names.own.has(type) ? 0 : pending), sum);
    case "postcommit_type_paused":
      return byType(({ paused }) => (paused ? 1 : 0), Math.max);
    case "postcommit_breaker_state":
      return byType(({ breaker }) => breakerStates[breaker], Math.max);
    case "postcommit_workers":
      return (["alive", "silent"] as const).map((state) => ({ labels: { state }, value: measures.workers[state] }));
    case "postcommit_schedule_overdue_seconds":
      return joined("schedule", names.schedules, measures.schedules.map(({ name, overdueMs }) => [name, overdueMs / 1000]), Math.max);
    case "postcommit_database_answer_seconds":
      return [{ labels: {}, value: measures.answeredInMs / 1000 }];
  }
}

const sum = (one: number, other: number): number => one + other;

/** One sample for each label; those that share one are joined, and a name that is there no longer is 0. */
function joined(label: string, names: BoundedNames, values: readonly (readonly [string, number])[], join: (one: number, other: number) => number): Sample[] {
  const byLabel = new Map<string, number>();
  for (const [name, value] of values) {
    const shown = names.labelOf(name);
    byLabel.set(shown, join(byLabel.get(shown) ?? 0, value));
  }
  return names.known().map((shown) => ({ labels: { [label]: shown }, value: byLabel.get(shown) ?? 0 }));
}
