// SQL for those who wait for a job to end. A row says so; the end of the job rings on the channel outbox_ended and takes
// the row away: see outbox_ring_waiters in prisma/migrations.

import type { Sql } from "../database.ts";

/** From here on this connection hears of ends that are waited for. */
export async function listenForEnds(sql: Sql): Promise<void> {
  await sql.query("listen outbox_ended");
}

/** From here on the end of the job rings, for so long. */
export async function addWaiter(sql: Sql, jobId: string, waiter: string, forMs: number): Promise<void> {
  await sql.query(
    `insert into outbox_waiter (job_id, waiter, until)
     values ($1, $2, clock_timestamp() + $3::float8 * interval '1 millisecond')
     on conflict (job_id, waiter) do update
     set until = greatest(outbox_waiter.until, excluded.until)`,
    [jobId, waiter, forMs],
  );
}

/** The end of the job need not ring for it any more. */
export async function removeWaiter(sql: Sql, jobId: string, waiter: string): Promise<void> {
  await sql.query(`delete from outbox_waiter where job_id = $1 and waiter = $2`, [jobId, waiter]);
}

/** Which of these are not under way any more: ended, or gone. */
export async function findEnded(sql: Sql, jobIds: readonly string[]): Promise<string[]> {
  const rows = await sql.query(
    `select asked.id
     from unnest($1::uuid[]) as asked (id)
     left join outbox on outbox.id = asked.id
     where outbox.id is null or outbox.status in ('done', 'error', 'cancelled')`,
    [jobIds],
  );
  return rows.map((row) => String(row.id));
}
