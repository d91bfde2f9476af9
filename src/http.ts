// The outbox by HTTP: a handler for any server, adapters for those without Request and Response, and the client's side.

export { fastifyHandler } from "./http/adapters/fastify.ts";
export type { FastifyReplyLike, FastifyRequestLike } from "./http/adapters/fastify.ts";
export type { RouteHandlers } from "./http/adapters/next.ts";
export { routeHandlers } from "./http/adapters/next.ts";
export { nodeHandler } from "./http/adapters/node.ts";
export type { HttpHandler } from "./http/app.ts";
export type { Authenticate, Authenticated } from "./http/caller.ts";
export type { HttpHandlerOptions } from "./http/handler.ts";
export type { NamedToken, Role, Tokens } from "./http/tokens.ts";
export type { Trigger, TriggeredJob, TriggerOptions } from "./http/trigger.ts";
export { triggerWorker } from "./http/trigger.ts";
export { createHttpHandler } from "./service/create-http-handler.ts";
