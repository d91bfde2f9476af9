// One worker's life in the database: its row, its beats, and the signal that ends its jobs when the row is gone.

import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { jittered } from "./backoff.ts";
import type { Database, Sql } from "./database.ts";
import type { Emit } from "./events.ts";
import { AttemptEnded } from "./run-job.ts";
import type { Claim } from "./store/claim.ts";
import { beat, registerWorker, removeWorker } from "./store/workers.ts";
import { isTransient } from "./transient.ts";
import { uuid7 } from "./uuid.ts";

export interface Session {
  readonly worker: string;
  /** Aborted, with an AttemptEnded, when the lease is lost: the jobs of this session belong to others then. */
  readonly lost: AbortSignal;
  /** What the next claim names: this worker and a token that no claim has named before. */
  nextClaim(types: readonly string[]): Claim;
  /** Stops the beats and removes the row. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly types: readonly string[];
  readonly leaseMs: number;
  readonly version: string;
  readonly emit: Emit;
}

/** Registers a new worker and keeps it alive: a beat every third of the lease, on a connection of its own, each given as long. */
export async function openSession(database: Database, { types, leaseMs, version, emit }: SessionOptions): Promise<Session> {
  const worker = uuid7();
  await registerWorker(database, { id: worker, host: hostname(), pid: process.pid, version, types, leaseMs });
  emit({ event: "worker_registered", worker, types });

  const lost = new AbortController();
  const closing = new AbortController();
  let token = 0;
  const beating = keepAlive().catch((error: unknown) => emit({ event: "database_failed", doing: "beat", error, retryInMs: null }));

  async function keepAlive(): Promise<void> {
    let connection: (Sql & { close(): Promise<void> }) | null = null;
    let lastBeatAt = performance.now();
    try {
      while (!lost.signal.aborted) {
        const retryInMs = Math.min(1000, leaseMs / 10);
        const overdue = performance.now() - lastBeatAt > leaseMs / 3;
        await sleep(jittered(overdue ? retryInMs : leaseMs / 3), undefined, { signal: closing.signal });
        try {
          connection ??= await database.dedicated(leaseMs / 3);
          const sentAt = performance.now();
          if (await beat(connection, worker)) lastBeatAt = sentAt;
          else lose("another process has buried this worker");
        } catch (error) {
          emit({ event: "database_failed", doing: "beat", error, retryInMs: isTransient(error) ? retryInMs : null });
          await connection?.close();
          connection = null;
        }
        // Without a beat for a whole lease, others are free to take the jobs, whether or not they have done so yet.
        if (performance.now() - lastBeatAt > leaseMs) lose("no beat has reached the database for a whole lease");
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error; // an aborted sleep is how closing ends the loop
    } finally {
      await connection?.close();
    }
  }

  function lose(message: string): void {
    if (!closing.signal.aborted) lost.abort(new AttemptEnded("lease_lost", message));
  }

  return {
    worker,
    lost: lost.signal,
    nextClaim: (claimable) => ({ worker, token: (token += 1), types: claimable }),
    async close() {
      closing.abort();
      await beating;
      try {
        await removeWorker(database, worker);
        emit({ event: "worker_left", worker });
      } catch (error) {
        // Its lease runs out by itself; then any other worker removes the row.
        emit({ event: "database_failed", doing: "leave", error, retryInMs: null });
      }
    },
  };
}
