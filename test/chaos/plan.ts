// What happens in one run of chaos: a pure function of its seed and the number of jobs. Next: world.ts, which carries it out.

import type { Draws } from "./draws.ts";
import { drawsOf } from "./draws.ts";

/** What a handler of test/support/app does. */
export const endings = ["return", "sleep", "complete", "throw-until", "once", "throw", "final", "exit"] as const;
export type Ending = (typeof endings)[number];

export interface PlannedJob {
  /** From 1, in the order of the plan. */
  readonly number: number;
  readonly type: "effect" | "other-effect";
  readonly then: Ending;
  /** Of sleep. */
  readonly ms?: number;
  /** Of throw-until: the attempt that goes well. */
  readonly attempt?: number;
  readonly maxAttempts: number;
  readonly priority: number;
  readonly delayMs: number;
  readonly orderingKey?: string;
  readonly dedupeKey?: string;
}

/** One transaction of one enqueuer, with a row in `orders` for each job. */
export interface PlannedTransaction {
  readonly atMs: number;
  /** Each enqueues its transactions one after the other, on one connection. */
  readonly enqueuer: number;
  /** Enqueued behind a savepoint, and rolled back to it. */
  readonly undone: readonly PlannedJob[];
  readonly jobs: readonly PlannedJob[];
  /** How long it stays open after the enqueue. */
  readonly openMs: number;
  readonly ends: "commit" | "rollback";
}

/** A place for one process at a time, started again whenever it ends. */
export interface PlannedProcess {
  readonly name: string;
  readonly kind: "worker" | "drain";
  readonly leaseMs: number;
  readonly batch: number;
  readonly concurrency: number;
  /** A worker's poll; the pause between two drains. */
  readonly pollMs: number;
}

export const faultKinds = ["kill", "stop", "terminate", "backends", "restart", "cut", "black hole"] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface PlannedFault {
  readonly atMs: number;
  readonly kind: FaultKind;
  /** Whom it hits: a process, or its way to the database; or "everybody", all ways at once, the enqueuers' too. Null: the server. */
  readonly target: string | null;
  /** How long until it is lifted. */
  readonly forMs: number;
}

export interface Plan {
  readonly seed: number;
  readonly jobs: number;
  readonly processes: readonly PlannedProcess[];
  readonly transactions: readonly PlannedTransaction[];
  readonly faults: readonly PlannedFault[];
}

/** Jobs enter in this time, and faults hit in it. */
const enqueueMs = (jobs: number): number => 3500 + jobs * 25;
const maxPoison = 2;
const enqueuers = 3;

export function planOf(seed: number, jobs: number): Plan {
  const draws = drawsOf(seed);
  const processes = plannedProcesses(draws);
  const lastMs = enqueueMs(jobs);
  return { seed, jobs, processes, transactions: plannedTransactions(draws, jobs, lastMs), faults: plannedFaults(draws, processes, lastMs) };
}

function plannedProcesses(draws: Draws): PlannedProcess[] {
  const workers = draws.between(0, 2);
  const drains = draws.between(workers === 0 ? 1 : 0, workers === 2 ? 1 : 2);
  return [...Array<"worker">(workers).fill("worker"), ...Array<"drain">(drains).fill("drain")].map((kind, index) => ({
    name: `${kind}-${index + 1}`,
    kind,
    leaseMs: draws.oneOf([1000, 1500, 2000, 3000]),
    batch: draws.oneOf([1, 2, 5, 20]),
    concurrency: draws.oneOf([1, 2, 5, 20]),
    pollMs: kind === "worker" ? draws.oneOf([200, 500, 1000]) : draws.between(200, 1000),
  }));
}

function plannedTransactions(draws: Draws, jobs: number, lastMs: number): PlannedTransaction[] {
  const transactions: PlannedTransaction[] = [];
  let made = 0;
  let poison = 0;
  const aJob = (): PlannedJob => {
    made += 1;
    const then = draws.weighted<Ending>({ return: 30, sleep: 25, complete: 15, "throw-until": 8, once: 10, throw: 4, final: 4, exit: poison < maxPoison ? 4 : 0 });
    if (then === "exit") poison += 1;
    return {
      number: made,
      type: draws.oneOf(["effect", "effect", "other-effect"]),
      then,
      ...(then === "sleep" ? { ms: draws.between(10, 600) } : {}),
      ...(then === "throw-until" ? { attempt: draws.between(2, 4) } : {}),
      // Each attempt of a poison job costs a process and a lease; and some jobs shall come to their last attempt by faults alone.
      maxAttempts: then === "exit" ? draws.between(1, 2) : draws.oneOf([2, 5, 5, 8]),
      priority: draws.oneOf([-10, 0, 0, 0, 10]),
      delayMs: draws.percent(15) ? draws.between(100, 2000) : 0,
      ...(draws.percent(30) ? { orderingKey: `line-${draws.between(1, 3)}` } : {}),
      ...(draws.percent(12) ? { dedupeKey: `once-${draws.between(1, 3)}` } : {}),
    };
  };
  const several = (most: number): PlannedJob[] => Array.from({ length: Math.min(draws.between(1, most), jobs - made) }, aJob);
  while (made < jobs) {
    transactions.push({
      atMs: draws.between(0, lastMs),
      enqueuer: draws.between(1, enqueuers),
      undone: draws.percent(10) ? several(2) : [],
      jobs: several(4),
      openMs: draws.percent(20) ? draws.between(20, 400) : 0,
      ends: draws.percent(12) ? "rollback" : "commit",
    });
  }
  return transactions.sort((one, other) => one.atMs - other.atMs);
}

function plannedFaults(draws: Draws, processes: readonly PlannedProcess[], lastMs: number): PlannedFault[] {
  const count = Math.round((lastMs / 1000) * (draws.between(8, 14) / 10));
  const faults = Array.from({ length: count }, (): PlannedFault => {
    const kind = draws.weighted<FaultKind>({ kill: 4, stop: 3, terminate: 3, backends: 2, restart: 1, cut: 2, "black hole": 2 });
    const atMs = draws.between(300, lastMs);
    const { name, leaseMs } = draws.oneOf(processes);
    switch (kind) {
      case "kill":
      case "terminate":
        return { atMs, kind, target: name, forMs: 0 };
      case "stop":
        return { atMs, kind, target: name, forMs: leaseMs + draws.between(200, 1500) };
      case "backends":
        return { atMs, kind, target: null, forMs: 0 };
      case "restart":
        return { atMs, kind, target: null, forMs: draws.between(0, 1500) };
      case "cut":
        return { atMs, kind, target: draws.percent(40) ? "everybody" : name, forMs: draws.between(50, 1500) };
      case "black hole":
        return { atMs, kind, target: draws.percent(30) ? "everybody" : name, forMs: draws.between(200, leaseMs + 1500) };
    }
  });
  return faults.sort((one, other) => one.atMs - other.atMs);
}

/** The plan for people: who runs, what is enqueued, what goes wrong and when. */
export function described({ seed, jobs, processes, transactions, faults }: Plan): string {
  const planned = transactions.flatMap((transaction) => [...transaction.undone, ...transaction.jobs]);
  const kinds = endings.map((then) => ({ then, count: planned.filter((job) => job.then === then).length })).filter(({ count }) => count > 0);
  return [
    `seed ${seed}, ${jobs} jobs: ${kinds.map(({ then, count }) => `${count} ${then}`).join(", ")}`,
    `  ${planned.filter(({ orderingKey }) => orderingKey !== undefined).length} with an ordering key, ${planned.filter(({ dedupeKey }) => dedupeKey !== undefined).length} with a dedupe key, ${planned.filter(({ delayMs }) => delayMs > 0).length} delayed`,
    `  ${transactions.length} transactions, ${transactions.filter(({ ends }) => ends === "rollback").length} rolled back, ${transactions.filter(({ undone }) => undone.length > 0).length} with a savepoint rolled back`,
    ...processes.map(({ name, leaseMs, batch, concurrency, pollMs, kind }) => `  ${name}: lease ${leaseMs} ms, batch ${batch}, concurrency ${concurrency}, ${kind === "worker" ? "poll" : "again after"} ${pollMs} ms`),
    ...faults.map(({ atMs, kind, target, forMs }) => `  ${String(atMs).padStart(6)} ms  ${kind}${target === null ? "" : ` ${target}`}${forMs > 0 ? ` for ${forMs} ms` : ""}`),
  ].join("\n");
}
