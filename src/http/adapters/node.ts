// The handler for servers that are made of node:http's requests: Express, Nest, Connect, and node:http itself.

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { HttpHandler } from "../app.ts";

/** What frameworks add to it. */
interface Incoming extends IncomingMessage {
  /** The path as it was sent, where a router has taken its own part off `url`. */
  readonly originalUrl?: string;
  /** What a body parser, such as express.json(), has made of the body; the stream is empty then. */
  readonly body?: unknown;
}

/**
 * Middleware: `app.use("/jobs-admin", nodeHandler(handler))`. A body parser may stand before it. `authenticate` is given
 * the framework's own request as `incoming`. Whoever asked may leave: what has begun goes on to its end.
 */
export function nodeHandler(handler: HttpHandler): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  return async (incoming: Incoming, outgoing) => {
    const request = requestOf({ method: incoming.method, url: incoming.originalUrl ?? incoming.url, headers: incoming.headers, stream: incoming, parsed: incoming.body });
    await send(request === null ? badRequest() : await handler(request, incoming), outgoing);
  };
}

export interface RequestParts {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly stream: IncomingMessage;
  readonly parsed: unknown;
}

/** Null: its target is no path, and no route could be found by it. */
export function requestOf({ method = "GET", url = "", headers, stream, parsed }: RequestParts): Request | null {
  // No other host is believed, and none is needed: paths are answered without one.
  const target = `http://localhost${url}`;
  if (!url.startsWith("/") || !URL.canParse(target)) return null;
  const body = method === "GET" || method === "HEAD" ? null : bodyOf(stream, parsed);
  return new Request(target, { method, headers: headersOf(headers, typeof body === "string"), body, duplex: "half" });
}

function headersOf(given: IncomingMessage["headers"], isRewritten: boolean): Headers {
  const headers = new Headers();
  for (const [name, value = ""] of Object.entries(given)) {
    // Names that begin with a colon are HTTP/2's own. The length is not that of a body that was parsed and written again.
    if (name.startsWith(":") || (isRewritten && ["content-length", "content-encoding", "transfer-encoding"].includes(name))) continue;
    for (const each of [value].flat()) headers.append(name, each);
  }
  return headers;
}

/** As it comes; or, once a parser has taken it, what that has left. */
function bodyOf(stream: IncomingMessage, parsed: unknown): string | Uint8Array | ReadableStream | null {
  if (parsed instanceof Uint8Array || typeof parsed === "string") return parsed;
  // Express 4 leaves {} where there was no body to parse.
  if (parsed !== undefined && parsed !== null) return stream.readableDidRead ? JSON.stringify(parsed) : (Readable.toWeb(stream) as ReadableStream); // of node:stream/web, the same at run time
  return stream.readableEnded ? null : (Readable.toWeb(stream) as ReadableStream);
}

function badRequest(): Response {
  return new Response(null, { status: 400 });
}

async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  // Answers are small, and whole before they are sent.
  const body = Buffer.from(await response.arrayBuffer());
  if (outgoing.destroyed || outgoing.headersSent) return;
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(outgoing.req.method === "HEAD" ? undefined : body);
}
