// webhook.send: tells a receiver of an event by a signed POST, in the form of Standard Webhooks.
// Next: webhook/payload.ts (what is enqueued), webhook/sign.ts, outbound/request.ts (how a request is made safe).

import type { Contract, Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { FinalError } from "../outbox/errors.ts";
import { configuredAs } from "./outbound/configured.ts";
import { failureOf } from "./outbound/failure.ts";
import { request } from "./outbound/request.ts";
import type { Resolve } from "./outbound/target.ts";
import type { Receiver, WebhookEndpoint } from "./webhook/endpoints.ts";
import { checkWebhooks } from "./webhook/endpoints.ts";
import type { WebhookPayload } from "./webhook/payload.ts";
import { webhookPayload } from "./webhook/payload.ts";
import { keyOf, signatures } from "./webhook/sign.ts";

export type { WebhookPayload } from "./webhook/payload.ts";

export const webhookSend: Contract<WebhookPayload, WebhookPayload> = defineJob({
  type: "webhook.send",
  schema: webhookPayload,
  // Eight attempts over 31.5 hours: a receiver that is down for a night and a day misses nothing.
  retry: { delays: ["5s", "5m", "30m", "2h", "5h", "10h", "14h"] },
  timeout: "1m",
});

const requestTimeoutMs = 30_000;

export interface WebhookSettings {
  /** Receivers that jobs name by `endpoint`. */
  readonly webhooks: Readonly<Record<string, WebhookEndpoint>>;
  /** What requests to a `url` of a job are signed with; without any, such jobs are refused. */
  readonly secrets: readonly string[];
  /** Lets a `url` of a job lead into a private network or to this machine. Default: false. */
  readonly allowPrivate?: boolean;
  /** Resolves the names in URLs. Default: the system's resolver. */
  readonly resolve?: Resolve;
}

/** Throws an OutboxError "CONFIGURATION" when an endpoint or a secret is unusable; it never shows a secret. */
export function webhookSendHandler({ webhooks, secrets, allowPrivate = false, resolve }: WebhookSettings): Handler {
  const byName = checkWebhooks(webhooks);
  const keys = secrets.map((secret, index) => keyOf(secret, secrets.length === 1 ? "WEBHOOK_SECRET" : `secret ${index + 1} of WEBHOOK_SECRET`));

  const named = (endpoint: string) => configuredAs(byName, endpoint, "endpoint to be one of webhooks in the configuration");

  function direct(url: string): Receiver {
    if (keys.length > 0) return { url, keys, headers: {}, allowPrivate };
    throw new FinalError("Expected a secret to sign with for a job that gives a url, got none. Nothing was sent. Set WEBHOOK_SECRET, or make the receiver an endpoint with secrets of its own.");
  }

  return handle(webhookSend, async ({ url, endpoint, event, data }, { job, idempotencyKey, signal }) => {
    const receiver = endpoint === undefined ? direct(url) : named(endpoint);
    // The event's own time, the same on every attempt; the header has the attempt's, which receivers hold against replay.
    const body = JSON.stringify({ type: event, timestamp: job.createdAt.toISOString(), data });
    const timestamp = String(Math.floor(Date.now() / 1000));
    const response = await request(
      { allowPrivate: receiver.allowPrivate, ...(resolve && { resolve }) },
      {
        method: "POST",
        url: receiver.url,
        // What a URL of the configuration holds may be meant for nobody who reads errors; the job names the endpoint.
        secretPath: endpoint !== undefined,
        headers: {
          ...receiver.headers,
          "Content-Type": "application/json",
          "webhook-id": idempotencyKey,
          "webhook-timestamp": timestamp,
          "webhook-signature": signatures(receiver.keys, idempotencyKey, timestamp, body),
        },
        body,
        signal,
        timeoutMs: requestTimeoutMs,
      },
    );
    if (response.status === 410) {
      const where = endpoint === undefined ? "Enqueue nothing more for its URL" : `Take the endpoint ${JSON.stringify(endpoint)} out of the configuration`;
      throw new FinalError(`Expected a 2xx answer to ${response.target}, got 410 Gone: the endpoint asked to stop. ${where}, and ask its owner before you send again.`);
    }
    failureOf(response);
    return { status: response.status };
  });
}
