// Hears that jobs have ended, for everyone in this process who waits for one: by one connection that listens, and one look
// for all of them when it rings. Behind a pooler, and when the connection fails, by looks alone, less and less often.

import { setTimeout as sleep } from "node:timers/promises";
import type { Database, Sql } from "./database.ts";
import { addWaiter, findEnded, listenForEnds, removeWaiter } from "./store/waiters.ts";
import { uuid7 } from "./uuid.ts";

const timeoutMs = 5000;
/** A ring is not relied on: one may come in the moment before it can be heard. With a ring to come, looks are rare. */
const firstLookMs = 20;
const maxLookMs = 500;
const maxLookMsWithRing = 5000;

interface Ends {
  /** Comes back when the job may have ended: has ended, is gone, or `forMs` are over. */
  ended(jobId: string, forMs: number, signal?: AbortSignal): Promise<void>;
}

const endsOf = new WeakMap<Database, Ends>();

/** One for each database, as long as somebody holds that. */
export function endsIn(database: Database): Ends {
  const known = endsOf.get(database) ?? createEnds(database);
  endsOf.set(database, known);
  return known;
}

function createEnds(database: Database): Ends {
  const waiter = uuid7();
  const waiting = new Map<string, Set<() => void>>();
  let connection: Promise<(Sql & { close(): Promise<void> }) | null> | null = null;
  let looking: Promise<void> | null = null;
  let again = false;

  /** Null: nothing can be heard. */
  function listening(): NonNullable<typeof connection> {
    return (connection ??= database.canListen ? open().catch(() => null) : Promise.resolve(null));
  }

  async function open(): Promise<Sql & { close(): Promise<void> }> {
    const opened = await database.dedicated(timeoutMs, () => void look());
    try {
      await listenForEnds(opened);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /** Nobody waits: a connection that stayed would keep the process alive. */
  async function stopListening(): Promise<void> {
    const closing = connection;
    connection = null;
    await (await closing)?.close();
  }

  /** One look at a time for all; a ring during one asks for another. */
  function look(): Promise<void> {
    again = looking !== null;
    return (looking ??= lookAtAll().finally(() => (looking = null)));
  }

  async function lookAtAll(): Promise<void> {
    do {
      again = false;
      const ids = [...waiting.keys()];
      if (ids.length === 0) return;
      for (const id of await findEnded(database, ids).catch(() => [])) for (const wake of waiting.get(id) ?? []) wake(); // what fails is looked at again, by whoever waits
    } while (again as boolean); // a ring may have set it
  }

  async function until(jobId: string, forMs: number, end: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const rings = (await listening()) !== null && (await addWaiter(database, jobId, waiter, forMs).then(() => true, () => false));
    for (let lookMs = firstLookMs; !end.aborted; lookMs = Math.min(lookMs * (rings ? 3 : 1.5), rings ? maxLookMsWithRing : maxLookMs)) {
      await look();
      const leftMs = forMs - (performance.now() - startedAt);
      if (leftMs <= 0) return;
      await sleep(Math.min(lookMs, leftMs), undefined, { signal: end }).catch(() => undefined); // the end of the loop
    }
  }

  return {
    async ended(jobId, forMs, signal) {
      signal?.throwIfAborted(); // an abort that has been tells nobody any more
      const end = new AbortController();
      const wake = () => end.abort();
      const wakes = waiting.get(jobId) ?? new Set();
      waiting.set(jobId, wakes.add(wake));
      signal?.addEventListener("abort", wake, { once: true });
      try {
        await until(jobId, forMs, end.signal);
        signal?.throwIfAborted();
      } finally {
        signal?.removeEventListener("abort", wake);
        wakes.delete(wake);
        if (wakes.size === 0) {
          waiting.delete(jobId);
          await removeWaiter(database, jobId, waiter).catch(() => undefined); // its time runs out
        }
        if (waiting.size === 0) await stopListening();
      }
    },
  };
}
