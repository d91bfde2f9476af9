// Which failures of the database pass by themselves, and how long to try again.

import { setTimeout as sleep } from "node:timers/promises";
import { jittered } from "./backoff.ts";

/** Deadlock, serialization failure, connection failures (a protocol violation does not pass), too many connections, a statement cancelled, server starting or stopping, a transaction that was idle for too long. */
const sqlStates = /^(08(?!P01)...|40001|40P01|53300|57014|57P0[1-5]|25006|25P03|55P03)$/;
/** PgBouncer calls everything that it says itself a protocol violation: these are about a Postgres that is away, or too much to do. */
const ofPooler = /^(server conn crashed|server login (failed|has been failing)|server closed|connect (failed|timeout)|query_wait_timeout|pgbouncer cannot connect|no more connections allowed|.*(shutting down|server_login_retry))/i;
const socketCodes = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "CONNECTION_LOST"]);

/** True when the same statement may well succeed later. A connection that broke leaves open whether it was carried out. */
export function isTransient(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const code = (cause as { code?: unknown }).code;
    if (typeof code === "string" && (sqlStates.test(code) || socketCodes.has(code) || (code === "08P01" && ofPooler.test(cause.message)))) return true;
    if (cause instanceof AggregateError && cause.errors.some(isTransient)) return true;
    // pg has no code for these.
    if (/^(Connection terminated|Client has encountered a connection error|timeout expired|timeout exceeded when trying to connect|Query read timeout)/.test(cause.message)) return true;
  }
  return false;
}

/** So many failures are passed over between two that are told of. */
const quietTries = 15;

/**
 * Tries again while the failure is a passing one, 0.1 s to 2 s apart, for at most `forMs`; then the last error is
 * thrown. `onFailure` is told of the first failure that is tried again, with the wait before that, then about every half
 * minute: the last one is for whoever called.
 */
export async function withRetry<Value>(
  forMs: number,
  work: () => Promise<Value>,
  onFailure: (error: unknown, retryInMs: number) => void,
  signal?: AbortSignal,
): Promise<Value> {
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const waitMs = jittered(Math.min(100 * 2 ** tries, 2000));
      const leftMs = forMs - (performance.now() - startedAt);
      const again = isTransient(error) && waitMs < leftMs && signal?.aborted !== true;
      if (!again) throw error;
      if (tries % quietTries === 0) onFailure(error, waitMs);
      await sleep(waitMs, undefined, signal ? { signal } : {}).catch(() => undefined); // an abort ends the wait; the next failure is thrown
    }
  }
}
