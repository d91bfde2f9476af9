// Why a job does not run: every gate that keeps it back, in the order in which it meets them, with the fact behind each and
// the command that lifts it. The facts come from inspect-why.ts.

import type { Database } from "./database.ts";
import { roughly } from "./duration.ts";
import { checkJobId } from "./filter.ts";
import type { WhyFacts } from "./inspect-why.ts";
import { maxCounted, whyFacts } from "./inspect-why.ts";
import type { Status } from "./job.ts";
import { quoted } from "./shell.ts";

export type GateName =
  | "finished"
  | "running"
  | "worker gone"
  | "ordering key"
  | "not due"
  | "paused"
  | "breaker"
  | "asked to wait"
  | "rate limit"
  | "concurrency"
  | "suspect"
  | "no worker";

export interface Gate {
  readonly gate: GateName;
  /** What is so, in a sentence. */
  readonly fact: string;
  /** The command that lifts it, without the program's name; null: it passes by itself, or nothing is to be lifted. */
  readonly lift: string | null;
  /** When it passes by itself, as far as is known. */
  readonly until: Date | null;
}

export interface Why {
  readonly id: string;
  readonly type: string;
  readonly status: Status;
  /** Empty: nothing keeps it back, it would be claimed now. */
  readonly gates: readonly Gate[];
  /** All of it in one sentence. */
  readonly verdict: string;
}

/** Null: there is no job of that id. */
export async function why(database: Database, id: string): Promise<Why | null> {
  const facts = await whyFacts(database, checkJobId(id));
  if (facts === null) return null;
  const gates = gatesOf(facts);
  const { type, status } = facts.job;
  return { id: facts.job.id, type, status, gates, verdict: gates[0]?.fact ?? claimable(facts) };
}

function gatesOf(facts: WhyFacts): Gate[] {
  switch (facts.job.status) {
    case "done":
    case "error":
    case "cancelled":
      return [finished(facts)];
    case "processing":
      return [underWay(facts)];
    case "waiting":
      return [behind(facts), ...typeGates(facts), ...workerGates(facts)];
    case "pending":
      return [...dueGate(facts), ...typeGates(facts), ...suspectGate(facts), ...workerGates(facts)];
  }
}

function claimable({ dueBefore }: WhyFacts): string {
  const before = dueBefore === 0 ? "" : `, after ${counted(dueBefore, "due job")} of its type`;
  return `Nothing keeps it back: it would be claimed now${before}.`;
}

function finished({ job, now }: WhyFacts): Gate {
  const when = job.finishedAt === null ? "" : ` ${ago(now, job.finishedAt)}`;
  const gate = { gate: "finished", until: null } as const;
  if (job.status === "done") return { ...gate, fact: `It was done${when}.`, lift: null };
  if (job.status === "cancelled") return { ...gate, fact: `It was cancelled${when}.`, lift: `jobs:retry --id ${job.id}` };
  return { ...gate, fact: `It is a dead letter: it failed for good${when}, in attempt ${job.attempts} of ${job.maxAttempts}: ${job.lastError ?? "no error is on record"}`, lift: `jobs:retry --id ${job.id}` };
}

function underWay({ job, now, holder }: WhyFacts): Gate {
  const since = job.startedAt === null ? "" : ` since ${job.startedAt.toISOString()}`;
  if (holder === null || holder.silentMs > holder.leaseMs) {
    const whose = holder === null ? "its worker is gone" : `its worker, pid ${holder.pid} on ${holder.host}, was last heard of ${roughly(holder.silentMs)} ago, longer than its lease`;
    return { gate: "worker gone", fact: `It is in attempt ${job.attempts}${since}, but ${whose}: the next worker or drain takes it over.`, lift: "jobs:drain", until: null };
  }
  const said = job.progress === null ? "" : ` It says ${job.progress} %${job.progressNote === null ? "" : `, ${job.progressNote}`}.`;
  const ran = job.startedAt === null ? "" : `, ${roughly(now.getTime() - job.startedAt.getTime())} now`;
  return {
    gate: "running",
    fact: `It is running: attempt ${job.attempts} of ${job.maxAttempts}${since}${ran}, leased by pid ${holder.pid} on ${holder.host}, whose last beat was ${roughly(holder.silentMs)} ago.${said}`,
    lift: `jobs:cancel --id ${job.id}`,
    until: null,
  };
}

function behind({ job, ahead, waitingBefore }: WhyFacts): Gate {
  const key = JSON.stringify(job.orderingKey);
  const others = waitingBefore === 0 ? "" : `, and ${counted(waitingBefore, "other")} before it`;
  const gate = { gate: "ordering key", until: null } as const;
  if (ahead === null) return { ...gate, fact: `It waits for its turn among the jobs of the ordering key ${key}; none of them is under way, and the next worker or drain promotes the first${others}.`, lift: "jobs:drain" };
  if (ahead.status === "error") return { ...gate, fact: `It waits behind the dead letter ${ahead.id} (${ahead.type}), which blocks the ordering key ${key}${others}.`, lift: `jobs:retry --id ${ahead.id}` };
  return { ...gate, fact: `It waits behind ${ahead.id} (${ahead.type}, ${ahead.status}) of the same ordering key ${key}${others}.`, lift: `jobs:why ${ahead.id}` };
}

function dueGate({ job, now }: WhyFacts): Gate[] {
  if (job.runAt <= now) return [];
  const failed = job.attempts > 0 && job.lastError !== null ? ` Attempt ${job.attempts} of ${job.maxAttempts} failed: ${job.lastError}` : "";
  return [{ gate: "not due", fact: `It is due in ${roughly(job.runAt.getTime() - now.getTime())}, at ${job.runAt.toISOString()}.${failed}`, lift: `jobs:retry --id ${job.id}`, until: job.runAt }];
}

function typeGates({ job, now, type, running }: WhyFacts): Gate[] {
  if (type === null) return [];
  const gates: Gate[] = [];
  const name = quoted(job.type);
  if (type.paused) {
    const by = type.pausedBy === null ? "" : ` by ${type.pausedBy}`;
    const reason = type.pauseReason === null ? "" : ` (${type.pauseReason})`;
    const until = type.pausedUntil === null ? "until somebody resumes it" : `until ${type.pausedUntil.toISOString()}`;
    gates.push({ gate: "paused", fact: `Its type is paused${by}${reason}, ${until}.`, lift: `types:resume ${name}`, until: type.pausedUntil });
  }
  const halfOpen = type.breakerOpened > 0 && (type.breakerUntil === null || type.breakerUntil <= now);
  if (type.breakerOpened > 0 && !halfOpen && type.breakerUntil !== null) {
    gates.push({ gate: "breaker", fact: `The circuit breaker of its type is open: too many jobs have failed in a row. It tries one at ${type.breakerUntil.toISOString()}.`, lift: null, until: type.breakerUntil });
  }
  if (halfOpen && running.count > 0) gates.push({ gate: "breaker", fact: `The circuit breaker of its type is half open: one job at a time is tried, now ${running.ids[0] ?? ""}.`, lift: `jobs:why ${running.ids[0] ?? ""}`, until: null });
  if (type.blockedUntil !== null && type.blockedUntil > now) {
    gates.push({ gate: "asked to wait", fact: `A receiver has asked the whole type to wait (Retry-After) until ${type.blockedUntil.toISOString()}.`, lift: null, until: type.blockedUntil });
  }
  if (type.rateLimit !== null && type.rateMs !== null && type.tokens !== null && type.tokens < 1) {
    const refillsInMs = ((1 - type.tokens) * type.rateMs) / type.rateLimit;
    const until = new Date(now.getTime() + refillsInMs);
    gates.push({ gate: "rate limit", fact: `The rate limit of its type, ${type.rateLimit} per ${roughly(type.rateMs)}, is used up; the next token comes in ${roughly(refillsInMs)}.`, lift: null, until });
  }
  if (type.concurrency !== null && !halfOpen && running.count >= type.concurrency) {
    const whose = type.concurrencyByKey ? `of its concurrency key ${JSON.stringify(job.concurrencyKey)}` : "of its type";
    const more = running.count > running.ids.length ? ` and ${running.count - running.ids.length} more` : "";
    gates.push({ gate: "concurrency", fact: `The concurrency limit ${whose}, ${type.concurrency}, is full: it is held by ${running.ids.join(", ")}${more}.`, lift: `jobs:why ${running.ids[0] ?? ""}`, until: null });
  }
  return gates;
}

function suspectGate({ job }: WhyFacts): Gate[] {
  if (!job.suspect) return [];
  return [{ gate: "suspect", fact: "A worker died while it ran this job, so it runs alone: a worker claims it when all its other jobs have ended.", lift: "jobs:drain", until: null }];
}

function workerGates({ job, workers }: WhyFacts): Gate[] {
  const alive = workers.filter((worker) => worker.alive);
  if (alive.length === 0) {
    const [last] = workers;
    const heard = last === undefined ? "" : ` The last one that did, pid ${last.pid} on ${last.host}, has been silent for ${roughly(last.silentMs)}.`;
    return [{ gate: "no worker", fact: `No living worker handles "${job.type}".${heard} A drain runs it, if it has a handler for the type.`, lift: `jobs:drain --type ${quoted(job.type)}`, until: null }];
  }
  if (alive.some(({ version }) => version === null || version >= job.version)) return [];
  const newest = Math.max(...alive.map(({ version }) => version ?? 0));
  return [{ gate: "no worker", fact: `No living worker knows version ${job.version} of "${job.type}"; the newest that one knows is ${newest}. It waits for a newer program.`, lift: "workers", until: null }];
}

function ago(now: Date, then: Date): string {
  return `${roughly(now.getTime() - then.getTime())} ago`;
}

function counted(count: number, what: string): string {
  return `${count < maxCounted ? count : `${maxCounted} or more`} ${what}${count === 1 ? "" : "s"}`;
}
