// The receivers that webhook.send knows by name: the entry `webhooks` of the configuration, checked once, when the
// handler is made. Next: sign.ts (what their secrets are for), payload.ts (how a job names one).

import { z } from "zod";
import { entryOf } from "../outbound/configured.ts";
import { parseTarget } from "../outbound/target.ts";
import { keyOf } from "./sign.ts";

export interface WebhookEndpoint {
  url: string;
  /** "whsec_…". Each makes a signature of its own: while a receiver changes to a new secret, both stand here. */
  secrets: string[];
  /** Sent with every request, for example Authorization. */
  headers?: Record<string, string>;
  /** Lets the URL lead into a private network or to this machine. Default: false. */
  allowPrivate?: boolean;
}

/** Where a webhook goes and how it is signed. */
export interface Receiver {
  readonly url: string;
  readonly keys: readonly Buffer[];
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivate: boolean;
}

const endpointSchema = z.strictObject({
  url: z.string(),
  secrets: z.array(z.string()).min(1, "expected at least one secret").max(5, "expected at most 5 secrets"),
  headers: z.record(z.string(), z.string()).optional(),
  allowPrivate: z.boolean().optional(),
});

const ownHeaders = new Set(["host", "content-length", "transfer-encoding", "connection", "content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]);

/** The receivers by name. Throws an OutboxError that names the endpoint and the field; values are not shown, they may be secret. */
export function checkWebhooks(webhooks: Readonly<Record<string, WebhookEndpoint>>): ReadonlyMap<string, Receiver> {
  return new Map(Object.entries(webhooks).map(([name, endpoint]) => [name, receiverOf(name, endpoint)]));
}

function receiverOf(name: string, endpoint: WebhookEndpoint): Receiver {
  const { refuse, attempt, headers: checkHeaders } = entryOf("webhooks", name, "webhook.send");
  if (name === "" || name.length > 100) refuse("", "expected a name of 1 to 100 characters");
  const issue = endpointSchema.safeParse(endpoint).error?.issues[0];
  if (issue !== undefined) refuse(issue.path.join("."), issue.message);
  const { url, secrets, headers = {}, allowPrivate = false } = endpoint;
  attempt("url", () => parseTarget(url, { allowPrivate }));
  checkHeaders(headers, ownHeaders);
  return { url, keys: secrets.map((secret, index) => keyOf(secret, `webhooks[${JSON.stringify(name)}].secrets[${index}]`)), headers, allowPrivate };
}
