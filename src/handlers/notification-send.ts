// notification.send: a row in the in-app inbox, exactly once. The row and the job's completion are one commit, so a
// crash between them leaves neither, and the next attempt writes both.

import { z } from "zod";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";

export const notificationSend = defineJob({
  type: "notification.send",
  schema: z.strictObject({
    /** Whose inbox. */
    userId: z.string().min(1).max(200),
    /** What kind of message, for example "proposal.created". */
    type: z.string().min(1).max(200),
    message: z.string().min(1).max(10_000),
  }),
  timeout: "30s",
});

export function notificationSendHandler(): Handler {
  return handle(notificationSend, async ({ userId, type, message }, ctx) => {
    await ctx.complete((tx) =>
      tx.query(`insert into notification (user_id, type, message, job_id) values ($1, $2, $3, $4)`, [userId, type, message, ctx.job.id]),
    );
  });
}
