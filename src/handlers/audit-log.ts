// audit.log: one row in the audit log, exactly once. The row and the job's completion are one commit; that rows stay as they
// are is a trigger's business (see the migration).

import { z } from "zod";
import { sqlOf } from "../outbox/database.ts";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";

export const auditLog = defineJob({
  type: "audit.log",
  schema: z.strictObject({
    /** What happened, for example "invoice.reminded". */
    event: z.string().min(1).max(200),
    /** Who did it. */
    actor: z.string().min(1).max(500).optional(),
    /** What it was done to. */
    subject: z.string().min(1).max(500).optional(),
    /** Any JSON. */
    data: z.unknown().optional(),
  }),
  timeout: "30s",
});

/** The job's result is the id of the row. */
export function auditLogHandler(): Handler {
  return handle(auditLog, async ({ event, actor, subject, data }, ctx) => {
    await ctx.complete(
      (tx) =>
        // The moment that counts is when the business write was made, in the same transaction as the job. It is taken from
        // the job's row, where the database wrote it to the microsecond.
        sqlOf(tx).query(
          `insert into audit_log (event, actor, subject, data, job_id, enqueued_at)
           select $1::text, $2::text, $3::text, $4::text::jsonb, id, created_at
           from outbox
           where id = $5::uuid
           returning id::text`,
          [event, actor ?? null, subject ?? null, data === undefined || data === null ? null : JSON.stringify(data), ctx.job.id],
        ),
      ([row]) => ({ id: row?.id ?? null }),
    );
  });
}
