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

/** GETs the endpoint's JSON and gives back the object or the objects in it. */
export async function pull(name: string, endpoint: HttpEndpoint, context: JobContext, resolve?: Resolve): Promise<Item | Item[]> {
  const maxBytes = endpoint.maxBytes ?? defaultMaxBytes;
  const response = await send(endpoint, context, { method: "GET", maxBytes, headers: { Accept: "application/json" } }, resolve);
  failureOf(response);
  if (response.truncated) {
    throw new FinalError(`Expected an answer of at most ${maxBytes} bytes to ${response.target}, got more. Pull it in parts, or raise maxBytes of the endpoint "${name}".`);
  }
  const data = at(endpoint.itemsAt, parse(response), response.target);
  try {
    toJson("data.sync", data, "the answer", Number.MAX_SAFE_INTEGER); // bounded in size already
  } catch (error) {
    if (error instanceof PayloadError) throw new FinalError(error.message, { cause: error });
    throw error;
  }
  return asItems(data, `the answer to ${response.target}${endpoint.itemsAt === undefined ? "" : ` at "${endpoint.itemsAt}"`}`);
}

/** Sends the data itself as JSON. The answer's body says nothing to us: only its status counts. */
export async function push(endpoint: HttpEndpoint, source: string, data: Item | readonly Item[], context: JobContext, resolve?: Resolve): Promise<{ status: number }> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": context.idempotencyKey, "X-Postcommit-Source": source };
  const response = await send(endpoint, context, { method: endpoint.method ?? "POST", headers, body: JSON.stringify(data) }, resolve);
  failureOf(response);
  return { status: response.status };
}

function send(endpoint: HttpEndpoint, { signal }: JobContext, options: Pick<OutboundRequest, "method" | "headers" | "body" | "maxBytes">, resolve?: Resolve): Promise<OutboundResponse> {
  return request(
    { allowPrivate: endpoint.allowPrivate ?? false, ...(resolve && { resolve }) },
    { ...options, url: endpoint.url, headers: { ...options.headers, ...endpoint.headers }, signal, timeoutMs: durationMs(endpoint.timeout ?? defaultTimeout, "the timeout") },
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
  let value = answer;
  for (const part of path?.split(".") ?? []) {
    // Own fields only: "constructor" is not data.
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      throw new FinalError(`Expected the answer to ${target} to have "${path ?? ""}" (itemsAt of the endpoint), got one without "${part}".`);
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}
