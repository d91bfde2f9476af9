// The handler for Fastify, by the shapes of its request and reply, so that it is not imported.

import type { IncomingMessage } from "node:http";
import type { HttpHandler } from "../app.ts";
import { requestOf } from "./node.ts";

/** The parts of Fastify's request that are used. */
export interface FastifyRequestLike {
  readonly method: string;
  /** As it was sent, with the prefix. */
  readonly originalUrl: string;
  readonly headers: IncomingMessage["headers"];
  readonly raw: IncomingMessage;
  /** What Fastify's parser has made of the body. */
  readonly body: unknown;
}

export interface FastifyReplyLike {
  code(status: number): unknown;
  headers(values: Record<string, string>): unknown;
  send(body: unknown): unknown;
}

/** `fastify.all("/jobs-admin/*", fastifyHandler(handler))`. `authenticate` is given Fastify's request as `incoming`. */
export function fastifyHandler(handler: HttpHandler): (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<void> {
  return async (given, reply) => {
    const request = requestOf({ method: given.method, url: given.originalUrl, headers: given.headers, stream: given.raw, parsed: given.body });
    const response = request === null ? new Response(null, { status: 400 }) : await handler(request, given);
    reply.code(response.status);
    reply.headers(Object.fromEntries(response.headers));
    reply.send(Buffer.from(await response.arrayBuffer()));
  };
}
