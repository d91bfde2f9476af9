// Signatures in the form of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body, so
// that a receiver can tell that a message is ours, whole and fresh. Next: endpoints.ts (whose secrets they are).

import { createHmac } from "node:crypto";
import { OutboxError } from "../../outbox/errors.ts";

const prefix = "whsec_";
const minBytes = 24;
const maxBytes = 64;

/** A secret as bytes. Throws an OutboxError "CONFIGURATION", which never shows it; `name` is what the error calls it. */
export function keyOf(secret: unknown, name: string): Buffer {
  if (typeof secret !== "string" || !secret.startsWith(prefix)) throw refused(name, `something that does not begin with ${prefix}`);
  const text = secret.slice(prefix.length);
  const key = Buffer.from(text, "base64");
  // Node reads over what is no base64; a receiver's library would stumble over it, or come to another key.
  if (key.toString("base64") !== text) throw refused(name, "something else after it");
  if (key.length < minBytes || key.length > maxBytes) throw refused(name, `${key.length} bytes`);
  return key;
}

function refused(name: string, got: string): OutboxError {
  return new OutboxError(
    "CONFIGURATION",
    `Expected ${name} to be ${prefix} and then ${minBytes} to ${maxBytes} random bytes in base64, got ${got}. "openssl rand -base64 32" makes such bytes.`,
  );
}

/** The value of the header webhook-signature: one signature for each key, so that the receiver may know either secret. */
export function signatures(keys: readonly Buffer[], id: string, timestamp: string, body: string): string {
  return keys.map((key) => `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`).join(" ");
}
