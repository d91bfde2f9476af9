// Looks whether a threshold has been reached, and tells of it once: the row of the alert and the jobs that tell of it are
// one transaction. Called by every worker about once a minute, and by every drain at its end. Next: store/alerts.ts.

import type { AlertKind, AlertRule } from "./alert-rules.ts";
import type { Database, Sql } from "./database.ts";
import type { JobRequest } from "./enqueue.ts";
import { storeJobs } from "./enqueue.ts";
import { OutboxError } from "./errors.ts";
import type { Emit } from "./events.ts";
import type { Measure, RaisedAlert } from "./store/alerts.ts";
import * as store from "./store/alerts.ts";

/** Below its threshold for so long, an alert is over. One that comes and goes within this time stays raised. */
const calmMs = 300_000;
/** An alert that nobody knows any more is forgotten after this time, or twice its `repeat`. */
const forgetMs = 30 * 86_400_000;

/** What is told. No payloads, and of an error only what is the same for many jobs. */
export interface Alert extends Measure {
  /** Which alert it is: `deadLetters`, or `deadLetters of email.send within 1h`. */
  readonly name: string;
  readonly kind: AlertKind;
  readonly state: "raised" | "lasting" | "over";
  /** As `value`: dead letters, or milliseconds. */
  readonly threshold: number;
  readonly withinMs: number | null;
  readonly raisedAt: Date;
  /** Now, by the database's clock. */
  readonly at: Date;
}

/** Makes the job that tells somebody of an alert. */
export interface Receiver {
  /** Where it is configured: `alerts.notify[0]`. */
  readonly name: string;
  /** Loads what it needs. */
  readonly load: () => Promise<(alert: Alert) => JobRequest>;
}

/** What is looked at, and who is told. */
export interface Alerts {
  readonly rules: readonly AlertRule[];
  /** Null: none is told again. */
  readonly repeatMs: number | null;
  readonly receivers: readonly Receiver[];
}

type Step = { readonly rule: AlertRule; readonly measure: Measure } & (
  | { readonly kind: "tell"; readonly state: "raised" | "lasting" | "over"; readonly raisedAt: Date; readonly at: Date }
  | { readonly kind: "mark"; readonly calm: boolean }
);

/** Tells of what there is to tell. Gives back how many jobs it has stored for that. */
export async function checkAlerts(database: Database, alerts: Alerts, emit: Emit): Promise<number> {
  const steps = await database.transaction((tx) => findSteps(tx, alerts));
  if (steps.length === 0) return 0;
  // Before the transaction that tells, which keeps all others waiting.
  const load = steps.some(({ kind }) => kind === "tell") ? alerts.receivers : [];
  const makers = await Promise.all(load.map(async (receiver) => ({ receiver, make: await loaded(receiver) })));
  const told = await database.transaction(async (tx) => {
    await store.planForAlerts(tx);
    await store.lockAlerts(tx);
    const done: { alert: Alert; jobs: number; failed: { receiver: string; error: unknown }[] }[] = [];
    // Looked at again: whoever had the lock before may have told already.
    for (const step of await findSteps(tx, alerts)) {
      const alert = await take(tx, step);
      if (alert === null) continue;
      const failed: { receiver: string; error: unknown }[] = [];
      let jobs = 0;
      for (const { receiver, make } of makers) {
        const request = "error" in make ? make : attempt(() => toldOnce(make.of(alert), alert, receiver.name));
        const stored = "error" in request ? request : await storedOrRefused(tx, request.value);
        if ("error" in stored) failed.push({ receiver: receiver.name, error: stored.error });
        else jobs += stored.value;
      }
      done.push({ alert, jobs, failed });
    }
    await store.forgetAlerts(tx, alerts.rules.map(({ name }) => name), Math.max(forgetMs, 2 * (alerts.repeatMs ?? 0)));
    return done;
  });
  for (const { alert, jobs, failed } of told) {
    emit({ event: "alert_told", alert, jobs });
    for (const { receiver, error } of failed) emit({ event: "alert_not_told", alert: alert.name, receiver, error });
  }
  return told.reduce((sum, { jobs }) => sum + jobs, 0);
}

/** What each rule counts now. Belongs in a transaction. */
export async function measureAlerts(tx: Sql, rules: readonly AlertRule[]): Promise<{ rule: AlertRule; measure: Measure; reached: boolean }[]> {
  await store.planForAlerts(tx);
  const measured = [];
  for (const rule of rules) {
    const measure = await store.measure(tx, rule);
    measured.push({ rule, measure, reached: isReached(rule, measure) });
  }
  return measured;
}

/** An age is measured by the database, which has left out what is younger. */
function isReached({ kind, threshold }: AlertRule, { jobs }: Measure): boolean {
  return kind === "deadLetters" ? jobs >= threshold : jobs > 0;
}

async function findSteps(tx: Sql, { rules, repeatMs }: Alerts): Promise<Step[]> {
  const measured = await measureAlerts(tx, rules);
  const { now, raised } = await store.findAlerts(tx, { repeatMs, calmMs });
  return measured.flatMap(({ rule, measure, reached }) => {
    const step = decide(reached, raised.get(rule.name), now);
    return step === null ? [] : [{ rule, measure, ...step }];
  });
}

function decide(reached: boolean, row: RaisedAlert | undefined, at: Date) {
  if (row === undefined) return reached ? ({ kind: "tell", state: "raised", raisedAt: at, at } as const) : null;
  if (reached && row.due) return { kind: "tell", state: "lasting", raisedAt: row.raisedAt, at } as const;
  if (!reached && row.over) return { kind: "tell", state: "over", raisedAt: row.raisedAt, at } as const;
  return reached === row.calm ? ({ kind: "mark", calm: !reached } as const) : null;
}

/** Writes the row. Gives back what is to be told; null: nothing. */
async function take(tx: Sql, step: Step): Promise<Alert | null> {
  const { rule, measure } = step;
  if (step.kind === "mark") {
    await store.writeCalm(tx, rule.name, step.calm);
    return null;
  }
  if (step.state === "over") await store.removeAlert(tx, rule.name);
  else await store.writeTold(tx, rule, measure.value, step.at);
  const { name, kind, threshold, withinMs } = rule;
  return { ...measure, name, kind, threshold, withinMs, state: step.state, raisedAt: step.raisedAt, at: step.at };
}

/**
 * As long as a job is on its way to the receiver, no second one follows it that says the same; and what is said of one
 * alert comes in the order in which it was said. One that cannot be delivered holds up nobody for ever.
 */
function toldOnce({ contract, payload, options }: JobRequest, { name, state }: Alert, receiver: string): JobRequest {
  const saying = state === "over" ? "over" : "raised";
  return {
    contract: { ...contract, onDead: "continue" },
    payload,
    options: {
      priority: "high",
      tags: ["alert"],
      ...options,
      dedupeKey: `${store.alertKeyPrefix}${name} is ${saying}, to ${receiver}`,
      dedupeFor: "until-done",
      orderingKey: `${store.alertKeyPrefix}${name}, to ${receiver}`,
    },
  };
}

type Attempt<Value> = { readonly value: Value } | { readonly error: unknown };

function attempt<Value>(work: () => Value): Attempt<Value> {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

async function loaded(receiver: Receiver): Promise<{ readonly of: (alert: Alert) => JobRequest } | { readonly error: unknown }> {
  try {
    return { of: await receiver.load() };
  } catch (error) {
    return { error };
  }
}

/** What is refused is refused before a statement is sent, so the transaction goes on: one receiver that is wrong keeps nothing from the others. */
async function storedOrRefused(tx: Sql, request: JobRequest): Promise<Attempt<number>> {
  try {
    const stored = await storeJobs(tx, [request]);
    return { value: stored.filter(({ deduplicated }) => !deduplicated).length };
  } catch (error) {
    if (error instanceof OutboxError) return { error };
    throw error;
  }
}
