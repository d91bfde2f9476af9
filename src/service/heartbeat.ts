// The heartbeat of cron: one request after each drain, to a service that gives the alarm when it does not come. The URL is
// a secret, whoever has it can say that all is well, so it goes into no message.

import { OutboxError } from "../outbox/errors.ts";

const heartbeatTimeoutMs = 10_000;

/** What the drain came to: "worked" also when jobs became dead letters, which is for alerts. */
export type HeartbeatOf = "worked" | "failed";

/** Refuses what is no web address. The value is not shown. */
export function checkHeartbeatUrl(url: string, code: "CONFIGURATION" | "USAGE" = "CONFIGURATION"): void {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: "" };
  if (protocol === "https:" || protocol === "http:") return;
  throw new OutboxError(code, "Expected the heartbeat URL (--heartbeat-url, JOBS_HEARTBEAT_URL) to begin with https:// or http://, got something else.");
}

/**
 * GETs the URL, after a drain that failed with /fail behind its path, as healthchecks.io and Better Stack take it. Never
 * throws. Gives back a sentence when the drain that worked could not be reported, else null: of one that failed silence
 * says the same.
 */
export async function sendHeartbeat(url: string, of: HeartbeatOf, timeoutMs = heartbeatTimeoutMs): Promise<string | null> {
  const target = new URL(url);
  if (of === "failed") target.pathname = `${target.pathname.replace(/\/$/, "")}/fail`;
  const problem = await problemOf(target, timeoutMs);
  return problem === null || of === "failed" ? null : `The heartbeat to ${target.host} was not taken: ${problem}. The drain itself worked.`;
}

/** Sends the heartbeat of `work`, which says what it came to; null: nothing is to be said. What it throws has failed. */
export async function withHeartbeat(url: string | null, work: () => Promise<HeartbeatOf | null>, warn: (sentence: string) => Promise<void>): Promise<void> {
  let of: HeartbeatOf | null = "failed";
  try {
    of = await work();
  } finally {
    const problem = url === null || of === null ? null : await sendHeartbeat(url, of);
    if (problem !== null) await warn(problem);
  }
}

async function problemOf(url: URL, timeoutMs: number): Promise<string | null> {
  // fetch takes no user and password in a URL.
  const { username, password } = url;
  url.username = "";
  url.password = "";
  const headers = { "User-Agent": "postcommit", ...(username !== "" && { Authorization: `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")}` }) };
  try {
    const response = await fetch(url, { headers, redirect: "follow", signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel(); // nobody reads it, and the process need not wait for it
    return response.ok ? null : `it answered ${response.status}`;
  } catch (error) {
    return reasonOf(error, timeoutMs);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that encodes nothing
  }
}

/** The code alone: the message of a failed fetch may name what was asked for. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === "TimeoutError") return `no answer within ${timeoutMs / 1000} s`;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null;
  return code ?? (cause instanceof Error ? cause.name : "the request failed");
}
