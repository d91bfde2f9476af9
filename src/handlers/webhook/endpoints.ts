// The receivers that webhook.send knows by name: the entry `webhooks` of the configuration, checked once, when the
// handler is made. Next: sign.ts (what their secrets are for), payload.ts (how a job names one).

import { validateHeaderName, validateHeaderValue } from "node:http";
import { z } from "zod";
import { OutboxError } from "../../outbox/errors.ts";
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
  if (name === "" || name.length > 100) refuse(name, "", "expected a name of 1 to 100 characters");
  const issue = endpointSchema.safeParse(endpoint).error?.issues[0];
  if (issue !== undefined) refuse(name, issue.path.map((part) => `.${String(part)}`).join(""), issue.message);
  const { url, secrets, headers = {}, allowPrivate = false } = endpoint;
  attempt(name, ".url", () => parseTarget(url, { allowPrivate }));
  for (const [header, value] of Object.entries(headers)) {
    attempt(name, ".headers", () => validateHeaderName(header));
    attempt(name, ".headers", () => validateHeaderValue(header, value));
    if (ownHeaders.has(header.toLowerCase())) refuse(name, `.headers.${header}`, "expected no header that webhook.send sets itself");
  }
  return { url, keys: secrets.map((secret, index) => keyOf(secret, `${pathOf(name)}.secrets[${index}]`)), headers, allowPrivate };
}

function attempt(name: string, field: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    refuse(name, field, error instanceof Error ? error.message : String(error));
  }
}

function refuse(name: string, field: string, problem: string): never {
  throw new OutboxError("CONFIGURATION", `Expected ${pathOf(name)}${field} to be usable by webhook.send: ${problem}`.replace(/[^.]$/, "$&."));
}

function pathOf(name: string): string {
  return `webhooks[${JSON.stringify(name)}]`;
}
