// A job type in one file: the contract, which producers import, and the handler, which is what the file exports by
// default. The file is named after the type, so nothing has to be registered anywhere.

import { z } from "zod";
import { defineJob, FinalError, handle, RetryAfter } from "postcommit";

export const invoiceRemind = defineJob({
  type: "invoice.remind",
  schema: z.object({ invoiceId: z.string(), locale: z.string().default("en") }), // any Standard Schema
  retry: { maxAttempts: 8 }, // or { delays: ["5s", "30s", "5m"] }, or (attempt, error) => milliseconds
  timeout: "30s",
});

export default handle(invoiceRemind, async ({ invoiceId, locale }, ctx) => {
  const answer = await fetch(new URL(`/invoices/${encodeURIComponent(invoiceId)}/reminders?locale=${locale}`, process.env.BILLING_URL), {
    method: "POST",
    headers: { "Idempotency-Key": ctx.idempotencyKey }, // the same on every attempt
    signal: ctx.signal, // aborted at the time limit, and when the worker must stop
  });
  if (answer.status === 404) throw new FinalError(`there is no invoice ${invoiceId}`); // no retry: a dead letter at once
  if (answer.status === 429) throw new RetryAfter(answer.headers.get("retry-after"));
  if (!answer.ok) throw new Error(`billing answered ${answer.status}`); // tried again after the backoff
  // The app's row and the completion of the job are one commit.
  await ctx.complete((tx) => tx.query("update app_invoice set reminders = reminders + 1 where id = $1", [invoiceId]));
});
