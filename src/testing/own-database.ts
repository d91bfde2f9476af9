// That a test works on a database of its own: nobody else runs its jobs, and nobody's jobs are deleted by it.

import { hostname } from "node:os";
import type { Database, Sql } from "../outbox/database.ts";

/** Throws when a worker of another process is alive: it would run the test's jobs, and this is perhaps not a test's database. */
export async function refuseOthers(sql: Sql, doing: string): Promise<void> {
  const rows = await sql.query(`select host, pid from outbox_worker where beat_at > clock_timestamp() - lease_ms * interval '1 millisecond'`);
  const other = rows.find(({ host, pid }) => !(host === hostname() && (pid === process.pid || !isAlive(Number(pid)))));
  if (other === undefined) return;
  throw new Error(
    `Expected ${doing} to have the database to itself, but a worker or drain of another process runs on it (process ${String(other.pid)} on ${String(other.host)}). ` +
      "Give every test process a database of its own, and let nothing else work on it.",
  );
}

/** One that a test run has left behind when it was killed is dead, although its lease lasts. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 asks, and does nothing
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"; // somebody else's
  }
}

/** Every job with its attempts and effects, pauses, limits, schedules and their slots, the ledger of actions, and alerts. */
export async function deleteEverything(database: Database): Promise<void> {
  // Not by truncate, which would wait for every open transaction that has read or enqueued.
  await database.transaction(async (tx) => {
    for (const table of ["outbox", "outbox_unpromoted", "outbox_type", "outbox_schedule", "outbox_slot", "outbox_action", "outbox_alert", "outbox_redrive"]) await tx.query(`delete from ${table}`);
  });
}
