// A notification as JSON to any URL. For signed events to the systems of others there is the job type webhook.send.

import type { JobContext } from "../../outbox/define.ts";
import { failureOf } from "../outbound/failure.ts";
import type { Resolve } from "../outbound/target.ts";
import type { WebhookChannel } from "./channels.ts";
import type { Delivery } from "./delivery.ts";
import { post } from "./post.ts";

/** `id`, which is the Idempotency-Key too, is the same on every attempt. */
export async function sendToWebhook(channel: WebhookChannel, { userId, type, message }: Delivery, context: JobContext, resolve?: Resolve): Promise<{ status: number }> {
  const id = context.idempotencyKey;
  const body = { id, userId, type, message, createdAt: context.job.createdAt.toISOString() };
  const response = await post({ url: channel.url, secretPath: true, headers: { ...channel.headers, "Idempotency-Key": id }, body }, channel, context, resolve);
  failureOf(response);
  return { status: response.status };
}
