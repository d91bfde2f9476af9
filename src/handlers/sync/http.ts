// data.sync over HTTP: pulling what a source has, pushing data to a target.
// How a request is made safe stands in outbound/request.ts.

import type { JobContext } from "../../outbox/define.ts";
import { durationMs } from "../../outbox/duration.ts";
import { FinalError, PayloadError } from "../../outbox/errors.ts";
import { toJson } from "../../outbox/payload.ts";
import { failureOf } from "../outbound/failure.ts";
import type { OutboundRequest, OutboundResponse } from "../outbound/request.ts";
import { defaultMaxBytes, request } from "../outbound/request.ts";
import type { Resolve } from "../outbound/target.ts";
import type { HttpEndpoint } from "./endpoints.ts";
import { defaultTimeout } from "./endpoints.ts";
import type { Item } from "./items.ts";
import { asItems } from "./items.ts";

export interface Page {
  /** The object or the objects in it. */
  readonly data: Item | Item[];
  /** The URL of the next page; null: it is the last one. */
  readonly next: string | null;
}

/** GETs a page of the endpoint's JSON: its first one, or the one at `url`. */
export async function pull(name: string, endpoint: HttpEndpoint, url: string | null, context: JobContext, resolve?: Resolve): Promise<Page> {
  const maxBytes = endpoint.maxBytes ?? defaultMaxBytes;
  const here = url ?? endpoint.url;
  const response = await send(endpoint, here, context, { method: "GET", maxBytes, headers: { Accept: "application/json" } }, resolve);
  failureOf(response);
  if (response.truncated) {
    throw new FinalError(`Expected an answer of at most ${maxBytes} bytes to ${response.target}, got more. Pull it in parts, or raise maxBytes of the endpoint "${name}".`);
  }
  const answer = parse(response);
  const data = at(endpoint.itemsAt, answer, response.target);
  try {
    toJson("data.sync", data, "the answer", Number.MAX_SAFE_INTEGER); // bounded in size already
  } catch (error) {
    if (error instanceof PayloadError) throw new FinalError(error.message, { cause: error });
    throw error;
  }
  const items = asItems(data, `the answer to ${response.target}${endpoint.itemsAt === undefined ? "" : ` at "${endpoint.itemsAt}"`}`);
  return { data: items, next: nextOf(endpoint, here, answer, response.target) };
}

/** The request carries the endpoint's headers, secrets among them, so the next page must be of the same origin. */
function nextOf({ url, nextAt }: HttpEndpoint, here: string, answer: unknown, target: string): string | null {
  if (nextAt === undefined) return null;
  const next = find(nextAt, answer).value;
  if (next === undefined || next === null || next === "") return null;
  const wanted = `Expected "${nextAt}" of the answer to ${target} (nextAt of the endpoint) to be the URL of another page on ${new URL(url).origin}, or nothing`;
  if (typeof next !== "string" || !URL.canParse(next, here)) throw new FinalError(`${wanted}, got ${typeof next === "string" ? "a text that is no URL" : `a ${typeof next}`}.`);
  const found = new URL(next, here);
  if (found.origin !== new URL(url).origin) throw new FinalError(`${wanted}, got one on "${found.host}".`);
  if (found.href === new URL(here).href) throw new FinalError(`${wanted}, got that of the same page.`);
  return found.href;
}

/** Sends the data itself as JSON, under a key that is the same in every attempt. The answer's body says nothing to us: only its status counts. */
export async function push(endpoint: HttpEndpoint, source: string, key: string, data: Item | readonly Item[], context: JobContext, resolve?: Resolve): Promise<{ status: number }> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key, "X-Postcommit-Source": source };
  const response = await send(endpoint, endpoint.url, context, { method: endpoint.method ?? "POST", headers, body: JSON.stringify(data) }, resolve);
  failureOf(response);
  return { status: response.status };
}

function send(endpoint: HttpEndpoint, url: string, { signal }: JobContext, options: Pick<OutboundRequest, "method" | "headers" | "body" | "maxBytes">, resolve?: Resolve): Promise<OutboundResponse> {
  return request(
    { allowPrivate: endpoint.allowPrivate ?? false, ...(resolve && { resolve }) },
    { ...options, url, headers: { ...options.headers, ...endpoint.headers }, signal, timeoutMs: durationMs(endpoint.timeout ?? defaultTimeout, "the timeout") },
  );
}

/** Not final: a maintenance page with status 200, or an answer cut short, is JSON again in a while. */
function parse({ body, headers, target, excerpt }: OutboundResponse): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    // The parser's own message quotes the body, secrets included.
    const type = headers["content-type"] ?? "no content type";
    throw new Error(`Expected JSON in the answer to ${target}, got ${type} that cannot be parsed: ${excerpt === "" ? "an empty body" : excerpt}`);
  }
}

function at(path: string | undefined, answer: unknown, target: string): unknown {
  if (path === undefined) return answer;
  const { value, missing } = find(path, answer);
  if (missing !== null) throw new FinalError(`Expected the answer to ${target} to have "${path}" (itemsAt of the endpoint), got one without "${missing}".`);
  return value;
}

/** Own fields only: "constructor" is not data. `missing` is the first part of the path that is not there. */
function find(path: string, answer: unknown): { value: unknown; missing: string | null } {
  let value = answer;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return { value: undefined, missing: part };
    value = (value as Record<string, unknown>)[part];
  }
  return { value, missing: null };
}
