// One HTTP request to a target that may have been chosen by a user: checked, bounded in time and size, never redirected.
// fetch will not do: it cannot be told which address to connect to. Next: failure.ts (what a bad answer means).

import type { LookupAddress } from "node:dns";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { FinalError } from "../../outbox/errors.ts";
import { secretsOf, withoutSecrets } from "./secrets.ts";
import type { OutboundSettings, Target } from "./target.ts";
import { addressesOf, parseTarget } from "./target.ts";

export interface OutboundRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  /** The path is a secret too, as in Slack's URLs: messages show none of it. Default: false. */
  readonly secretPath?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** When it is aborted the request ends at once, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** For everything together: name, connection, headers and body. */
  readonly timeoutMs: number;
  /** How much of the answer's body is read; then the connection is closed. Default: 64 KB. */
  readonly maxBytes?: number;
}

export interface OutboundResponse {
  /** Method, origin and, unless it is a secret, path of the request: what messages may show of it. */
  readonly target: string;
  readonly status: number;
  /** Without the request's secrets. */
  readonly headers: IncomingHttpHeaders;
  /** As UTF-8; broken bytes become U+FFFD. */
  readonly body: string;
  /** True when the body was longer than maxBytes, and `body` is only its beginning. */
  readonly truncated: boolean;
  /** The beginning of the body on one line, without the request's secrets: what messages may show of it. */
  readonly excerpt: string;
}

export const defaultMaxBytes = 64 * 1024;
const excerptLength = 200;

/**
 * Sends one request and reads the answer, whatever its status. Throws a FinalError for a target that is refused, the
 * reason of `signal` when that is aborted, and an Error for everything that may pass: names, connections, time.
 */
export async function request(settings: OutboundSettings, options: OutboundRequest): Promise<OutboundResponse> {
  const { method, headers = {}, secretPath = false, signal, timeoutMs, maxBytes = defaultMaxBytes } = options;
  signal?.throwIfAborted();
  const target = parseTarget(options.url, settings);
  const name = `${method} ${target.url.origin}${secretPath ? "/…" : target.url.pathname}`.slice(0, 300);

  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const ended = signal === undefined ? deadline.signal : AbortSignal.any([deadline.signal, signal]);
  try {
    // The resolver cannot be stopped, but it need not be waited for.
    const addresses = await Promise.race([addressesOf(target, settings), whenAborted(ended)]);
    const answer = await send(target, addresses, options, ended);
    const { bytes, truncated } = await readBody(answer, maxBytes);
    const body = new TextDecoder().decode(bytes);
    const secrets = secretsOf(headers, target.url, secretPath);
    const shown = withoutSecrets(body.slice(0, 4096), secrets, truncated || body.length > 4096);
    const excerpt = shown.replace(/[\p{C}\s]+/gu, " ").trim().slice(0, excerptLength).toWellFormed();
    return { target: name, status: answer.statusCode ?? 0, headers: headersWithout(secrets, answer.headers), body, truncated, excerpt };
  } catch (error) {
    // First the signals: what they make of a socket looks like a broken connection.
    signal?.throwIfAborted();
    if (deadline.signal.aborted) throw new Error(`Expected the whole answer to ${name} within ${timeoutMs} ms, got no more time. The receiver may or may not have acted on it.`, { cause: error });
    if (error instanceof FinalError) throw error;
    const { message, code } = plain(error);
    if (/^ERR_(HTTP_)?(INVALID|UNESCAPED)/.test(code)) throw new FinalError(`Expected a request that HTTP can carry for ${name}: ${message}.`, { cause: error });
    throw new Error(`Expected an answer to ${name}, got a failed connection: ${message}.`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function send({ url, hostname }: Target, addresses: readonly LookupAddress[], options: OutboundRequest, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const length = options.body === undefined ? {} : { "Content-Length": String(Buffer.byteLength(options.body)) };
    const outgoing = (url.protocol === "https:" ? httpsRequest : httpRequest)({
      method: options.method,
      // The name stays: it is the Host header and what the certificate must be for. Only where to connect is given.
      hostname,
      port: url.port === "" ? null : url.port,
      path: url.pathname + url.search,
      headers: { "User-Agent": "postcommit", "Accept-Encoding": "identity", ...options.headers, ...length },
      lookup: only(addresses),
      // A connection of its own: nothing is kept open, and none that was opened for another check is used again.
      agent: false,
      signal,
    });
    outgoing.on("response", resolve);
    // It stays after the answer has come: a receiver that answers early and hangs up makes writing fail afterwards.
    outgoing.on("error", reject);
    outgoing.on("close", () => reject(new Error("the connection was closed before an answer")));
    outgoing.end(options.body);
  });
}

/** What Node asks instead of a resolver: it learns nothing but the addresses that were checked, so DNS rebinding is void. */
function only(addresses: readonly LookupAddress[]): LookupFunction {
  return (_hostname, { all }, callback) => {
    const first = addresses[0];
    if (all === true) callback(null, [...addresses]);
    else callback(first === undefined ? new Error("no address") : null, first?.address ?? "", first?.family);
  };
}

async function readBody(answer: IncomingMessage, maxBytes: number): Promise<{ bytes: Buffer; truncated: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop early destroys the answer and its socket. A connection that ends too early throws.
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), truncated: true };
  }
  return { bytes: Buffer.concat(chunks), truncated: false };
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(new Error("aborted"));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

function headersWithout(secrets: readonly string[], headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const shown = (value: string) => withoutSecrets(value, secrets);
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? shown(value) : value?.map(shown)]));
}

/** Message and code of a network error; Node gives one for each address it tried, with an empty message around them. */
function plain(error: unknown): { message: string; code: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return plain(error.errors[0]);
  if (!(error instanceof Error)) return { message: String(error), code: "" };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { message: error.message.replace(/\.$/, ""), code };
}
