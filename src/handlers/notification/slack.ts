// A notification as a message in Slack, through an incoming webhook. Slack knows no idempotency key: after a time-out the
// message may come twice.

import type { JobContext } from "../../outbox/define.ts";
import { failureOf } from "../outbound/failure.ts";
import type { Resolve } from "../outbound/target.ts";
import type { SlackChannel } from "./channels.ts";
import type { Delivery } from "./delivery.ts";
import { post } from "./post.ts";

/** 400, 403, 404 and 410 come with a word such as "no_service" and are final; 429 comes with Retry-After. */
export async function sendToSlack(channel: SlackChannel, { message }: Delivery, context: JobContext, resolve?: Resolve): Promise<{ status: number }> {
  const response = await post({ url: channel.url, secretPath: true, body: { text: escaped(message) } }, channel, context, resolve);
  failureOf(response);
  return { status: response.status };
}

/** By these three Slack knows its own signs: "<!channel>" in a customer's name would call everybody. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
