// What a worker does at the database, one function for each kind of turn. pump.ts decides which turn comes next.

import type { Database } from "./database.ts";
import type { Emit } from "./events.ts";
import type { Hands } from "./hands.ts";
import type { ClaimedJob } from "./job.ts";
import type { Lanes, Offer } from "./lanes.ts";
import type { Look } from "./look.ts";
import { look } from "./look.ts";
import type { Session } from "./session.ts";
import type { Finished, Settler } from "./settle.ts";
import type { Claim } from "./store/claim.ts";
import { claimSuspect, unclaim } from "./store/claim.ts";
import type { LimitedClaim } from "./store/claim-limited.ts";
import { claimLimited, claimLimitedSuspect } from "./store/claim-limited.ts";
import type { Exchange } from "./store/exchange.ts";
import { exchange } from "./store/exchange.ts";
import { closeBreaker, openBreaker } from "./store/limits.ts";
import { promoteNoted } from "./store/ordering.ts";
import { buryWorkers, rescueJobs } from "./store/workers.ts";
import { isTransient } from "./transient.ts";

export interface TurnsOptions {
  readonly database: Database;
  readonly lanes: Lanes;
  readonly hands: Hands;
  readonly settler: Settler;
  readonly leaseMs: number;
  readonly emit: Emit;
  /** Does the work again while its failure passes by itself. */
  readonly trying: <Value>(doing: string, work: () => Promise<Value>) => Promise<Value>;
}

export interface Turns {
  /** Settles what is done and claims up to `limit` jobs, in one statement. */
  exchange(session: Session, limit: number): Promise<{ readonly claimed: number; readonly exhausted: boolean; readonly settled: readonly Finished[] }>;
  /** Settles what is over and does not travel with a claim. */
  settle(which: "all" | "not done"): Promise<readonly Finished[]>;
  /** Claims up to `limit` jobs of a type that has limits. */
  claimLimited(session: Session, type: string, limit: number): Promise<LimitedClaim>;
  /** Claims one job that a worker died of. */
  claimSuspect(session: Session, suspects: Look["suspects"]): Promise<number>;
  look(deep: boolean): Promise<Look>;
  rescue(): Promise<void>;
  /** Opens the circuit breaker of a type for so many milliseconds, or closes it. */
  turnBreaker(type: string, turn: { readonly open: number } | "close"): Promise<void>;
  /** How many ordering keys have gone on. */
  promote(): Promise<number>;
}

const rescueBatch = 100;
const promoteBatch = 100;

export function createTurns({ database, lanes, hands, settler, leaseMs, emit, trying }: TurnsOptions): Turns {
  const doubtful = new Map<Claim, number>(); // claims whose answer was lost, and when

  /** A claim may have been carried out although its answer was lost: what it took is given back, for as long as it might still arrive. */
  async function settleDoubts(): Promise<void> {
    for (const [lostClaim, since] of doubtful) {
      await unclaim(database, lostClaim.worker, lostClaim.token);
      if (performance.now() - since > leaseMs) doubtful.delete(lostClaim);
    }
  }

  async function claim<Claimed>(session: Session, take: (next: Claim) => Promise<Claimed>): Promise<Claimed> {
    await settleDoubts();
    const next = session.nextClaim();
    const startedAt = performance.now();
    try {
      const claimed = await take(next);
      emit({ event: "claim_answered", durationMs: performance.now() - startedAt });
      return claimed;
    } catch (error) {
      if (isTransient(error)) doubtful.set(next, performance.now());
      throw error;
    }
  }

  /** What comes after the lease was lost belongs to others, like all the session had. */
  function taken({ lost }: Session, jobs: readonly ClaimedJob[]): number {
    if (!lost.aborted) hands.take(jobs);
    return jobs.length;
  }

  /** One statement for both. When it fails, what is done is settled by itself: that can be tried again, and written row by row. */
  async function exchangeOnce(session: Session, done: readonly Finished[], offered: Offer["lanes"], limit: number): Promise<Exchange> {
    const outcomes = done.map(({ job, outcome }) => ({ lease: job.lease, result: outcome.kind === "done" ? outcome.result : null }));
    if (done.length > 0) {
      try {
        const answer = await claim(session, (next) => exchange(database, next, outcomes, offered, limit));
        settler.report(done, answer.lost);
        return answer;
      } catch (error) {
        emit({ event: "database_failed", doing: "settle and claim", error, retryInMs: 0 });
        await settler.settle(done, true);
      }
    }
    return trying("claim", () => claim(session, (next) => exchange(database, next, [], offered, limit)));
  }

  return {
    async exchange(session, limit) {
      const settled = hands.takeFinished("done");
      const offer = lanes.offer(limit);
      const { jobs } = await exchangeOnce(session, settled, offer.lanes, limit);
      for (const { job, at } of jobs) lanes.advance(offer, job, at);
      const exhausted = jobs.length < limit && lanes.exhaust(offer);
      return { claimed: taken(session, jobs.map(({ job }) => job)), exhausted, settled };
    },
    async settle(which) {
      const batch = hands.takeFinished(which);
      await settler.settle(batch);
      return batch;
    },
    async claimLimited(session, type, limit) {
      const answer = await trying("claim", () => claim(session, (next) => claimLimited(database, next, type, limit)));
      taken(session, answer.jobs);
      return answer;
    },
    async claimSuspect(session, suspects) {
      const free = suspects.filter(({ held }) => !held).map(({ type }) => type);
      const jobs = free.length === 0 ? [] : await trying("claim", () => claim(session, (next) => claimSuspect(database, next, free)));
      for (const { type } of jobs.length > 0 ? [] : suspects.filter(({ held }) => held)) {
        jobs.push(...(await trying("claim", () => claim(session, (next) => claimLimitedSuspect(database, next, type)))));
        if (jobs.length > 0) break;
      }
      return taken(session, jobs);
    },
    async look(deep) {
      const seen = await trying("look", async () => {
        await settleDoubts(); // there may be no claim to come that would
        return look(database, lanes.question(deep));
      });
      lanes.learn(seen, deep);
      return seen;
    },
    async rescue() {
      for (const { id, host, pid } of await trying("rescue", () => buryWorkers(database))) emit({ event: "worker_buried", worker: id, host, pid });
      for (let found = rescueBatch; found === rescueBatch; ) {
        const { returned, dead } = await trying("rescue", () => rescueJobs(database, rescueBatch));
        found = returned + dead.length;
        if (found > 0) emit({ event: "jobs_rescued", returned, dead: dead.length });
        settler.tally.dead += dead.length;
        for (const { id, type, attempt, lastError } of dead) emit({ event: "job_dead", job: { id, type, attempt }, message: lastError });
      }
    },
    async turnBreaker(type, turn) {
      if (turn === "close") {
        if (await trying("close a breaker", () => closeBreaker(database, type))) emit({ event: "breaker_closed", type });
        return;
      }
      const until = await trying("open a breaker", () => openBreaker(database, type, turn.open));
      if (until !== null) emit({ event: "breaker_opened", type, until });
    },
    promote: () => trying("promote", () => promoteNoted(database, promoteBatch)),
  };
}
