// One worker's life in the database: its row, its beats, and the signal that ends its jobs when the row is gone.

import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { jittered } from "./backoff.ts";
import type { Database, Sql } from "./database.ts";
import type { Emit } from "./events.ts";
import { AttemptEnded } from "./attempt.ts";
import type { Claim } from "./store/claim.ts";
import { beat, listen, registerWorker, removeWorker, setListening, takeLock } from "./store/workers.ts";
import { isTransient } from "./transient.ts";
import { uuid7 } from "./uuid.ts";

export interface Session {
  readonly worker: string;
  /** Aborted, with an AttemptEnded, when the lease is lost: the jobs of this session belong to others then. */
  readonly lost: AbortSignal;
  /** What the next claim names: this worker and a token that no claim has named before. */
  nextClaim(): Claim;
  /** Whether an enqueue rings for this worker. False behind a pooler, where nothing can be listened for. */
  readonly listening: boolean;
  /** Asks enqueues to ring, before going to sleep; or, under load, not to: while nobody sleeps, ringing costs nothing. */
  listen(on: boolean): Promise<void>;
  /** Becomes the only one that does what is called so, until the row is gone. False: another living worker does. */
  lock(name: string): Promise<boolean>;
  /** Its jobs go to others, because what became of one of them could not be written. */
  abandon(message: string): void;
  /** Stops the beats and removes the row. False: others had removed it, or may have, and all its latest claims came back empty. */
  close(): Promise<boolean>;
}

export interface SessionOptions {
  readonly types: readonly string[];
  /** The newest versions of them that are known here; they become known as handlers are loaded. */
  readonly versions: () => (number | null)[];
  readonly leaseMs: number;
  readonly version: string;
  readonly emit: Emit;
  /** Somebody has enqueued a job. Without it the doorbell is not listened for: a drain does not sleep. */
  readonly onRing?: () => void;
  /** A beat has reached the database. */
  readonly onBeat?: () => void;
}

/** A beat goes out at least this often, so that a doorbell whose connection has died is noticed within 15 s. */
const maxBeatMs = 6000;

/**
 * Registers a new worker and keeps it alive: a beat every third of the lease or every 6 s, on a connection of its own,
 * each given as long. The same connection listens for the doorbell.
 */
export async function openSession(database: Database, { types, versions, leaseMs, version, emit, onRing, onBeat }: SessionOptions): Promise<Session> {
  const beatMs = Math.min(leaseMs / 3, maxBeatMs);
  const worker = uuid7();
  const registeredAt = performance.now(); // the answer may take long, and the lease is running
  await registerWorker(database, { id: worker, host: hostname(), pid: process.pid, version, types, versions: versions(), leaseMs });
  emit({ event: "worker_registered", worker, types });

  const lost = new AbortController();
  const closing = new AbortController();
  const hears = database.canListen && onRing !== undefined;
  let token = 0;
  let listening = false;
  const beating = keepAlive().catch((error: unknown) => emit({ event: "database_failed", doing: "beat", error, retryInMs: null }));

  async function keepAlive(): Promise<void> {
    let connection: (Sql & { close(): Promise<void> }) | null = null;
    let lastBeatAt = registeredAt;
    let waitMs = hears ? 0 : beatMs; // the row itself is the first beat, but the doorbell is wanted at once
    try {
      while (!lost.signal.aborted) {
        await sleep(waitMs, undefined, { signal: closing.signal });
        try {
          connection ??= await connect();
          const sentAt = performance.now();
          if (await beat(connection, worker, versions())) lastBeatAt = sentAt;
          else lose("another process has buried this worker");
          onBeat?.();
          waitMs = jittered(beatMs);
        } catch (error) {
          waitMs = jittered(Math.min(1000, leaseMs / 10));
          emit({ event: "database_failed", doing: "beat", error, retryInMs: isTransient(error) ? waitMs : null });
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

  async function connect(): Promise<Sql & { close(): Promise<void> }> {
    const connection = await database.dedicated(beatMs, onRing);
    if (hears) {
      await listen(connection);
      onRing(); // it may have rung while nobody listened
    }
    return connection;
  }

  function lose(message: string): void {
    if (!closing.signal.aborted) lost.abort(new AttemptEnded("lease_lost", message));
  }

  return {
    worker,
    lost: lost.signal,
    nextClaim: () => ({ worker, token: (token += 1) }),
    get listening() {
      return listening;
    },
    async listen(on) {
      if (!hears || on === listening) return;
      await setListening(database, worker, on);
      listening = on;
    },
    lock: (name) => takeLock(database, name, worker),
    abandon: lose,
    async close() {
      closing.abort();
      await beating;
      try {
        const wasThere = await removeWorker(database, worker);
        emit({ event: "worker_left", worker });
        return wasThere;
      } catch (error) {
        // Its lease runs out by itself; then any other worker removes the row.
        emit({ event: "database_failed", doing: "leave", error, retryInMs: null });
        return false;
      }
    },
  };
}
