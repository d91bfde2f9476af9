// What an error of WhatsApp's Cloud API means for the job. Meta says to go by the code in the body rather than by the
// status: rate limits come as 400, and some refusals for good as 500.

import { RetryAfter } from "../../outbox/errors.ts";
import { failureOf } from "../outbound/failure.ts";
import type { OutboundResponse } from "../outbound/request.ts";

/** Over in seconds or minutes. */
const passing = new Set([
  1, 2, // unknown, overloaded
  130_429, // more messages a second than the number may send
  131_000, // something went wrong
  131_016, // service unavailable
  131_056, // too many messages to this recipient
  133_004, // server temporarily unavailable
]);

/** About the account and not about this message: a token that has run out, a number that is not registered, an unpaid bill. */
const account = new Set([
  0, 3, 10, 190, 131_005, // token and permissions; 200 to 299 too
  4, 80_007, // the hour's limit of calls
  368, 131_031, 131_048, // restricted or locked, suspected of spam
  131_042, // payment
  131_045, 133_010, // the sender's number is not registered
  131_057, // in maintenance
]);
/** As for a wrong SMTP password: were it final, one expired token would turn the whole backlog into dead letters. */
const accountSeconds = 600;

/** Throws unless the message was taken. What the codes do not decide, the status does. */
export function whatsAppFailure(response: OutboundResponse): void {
  const { status, target, excerpt, headers } = response;
  const error = errorIn(jsonOf(response));
  if (error === null) {
    failureOf(response);
    return;
  }
  const { code, transient } = error;
  const message = `Expected WhatsApp to take the message (${target}), got ${status} with the code ${code}: ${excerpt}`;
  const after = headers["retry-after"];
  if (account.has(code) || (code >= 200 && code <= 299)) throw new RetryAfter(after ?? accountSeconds, `${message}. This is about the account: look at the channel's settings, or at Meta's dashboard.`);
  if (passing.has(code) || transient) throw after === undefined ? new Error(message) : new RetryAfter(after, message);
  failureOf(response);
  // An error in an answer of 200: nothing says that trying again would help, nor that the message was taken.
  throw new Error(message);
}

/** The body as JSON; undefined when it is none. */
export function jsonOf({ body }: OutboundResponse): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    // A page of some proxy's: then the status has to do. The parser's message would quote the body.
    return undefined;
  }
}

function errorIn(answer: unknown): { code: number; transient: boolean } | null {
  if (typeof answer !== "object" || answer === null || !("error" in answer)) return null;
  const { error } = answer;
  if (typeof error !== "object" || error === null || !("code" in error) || typeof error.code !== "number") return null;
  return { code: error.code, transient: "is_transient" in error && error.is_transient === true };
}
