// What a receiver's answer means for the job: nothing to do, try again, try again later, or give up.

import { FinalError, RetryAfter } from "../../outbox/errors.ts";
import type { OutboundResponse } from "./request.ts";

/** 4xx that say "not now" rather than "not ever": time-out, conflict with a request under way, too early, too many. */
const passing = new Set([408, 409, 425, 429]);

/**
 * Throws unless the status is 2xx: RetryAfter when a 429 or 503 says how long to wait, an Error for what may pass (5xx,
 * 408, 409, 425, 429), a FinalError for every other answer, redirects among them.
 */
export function failureOf(response: OutboundResponse): void {
  const { status, headers, target, excerpt } = response;
  if (status >= 200 && status < 300) return;
  if (status >= 300 && status < 400) {
    throw new FinalError(`Expected a 2xx answer to ${target}, got ${status}, a redirect to ${hostOf(headers.location, target)}. Redirects are not followed: use the URL it leads to.`);
  }
  const message = `Expected a 2xx answer to ${target}, got ${status}${excerpt === "" ? " with an empty body" : `: ${excerpt}`}`;
  const after = headers["retry-after"];
  if ((status === 429 || status === 503) && after !== undefined) throw new RetryAfter(after, message);
  if (status >= 500 || passing.has(status)) throw new Error(message);
  throw new FinalError(message);
}

/** Only the host: the rest of a location may hold a token. */
function hostOf(location: string | undefined, target: string): string {
  if (location === undefined) return "nowhere";
  const base = target.slice(target.indexOf(" ") + 1);
  return URL.canParse(location, base) ? `"${new URL(location, base).host}"` : "something that is no URL";
}
