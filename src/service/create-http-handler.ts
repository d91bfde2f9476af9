// createHttpHandler: the HTTP side over an app's outbox, with what is usual for what the app does not say.

import type { HttpHandler } from "../http/app.ts";
import type { HttpHandlerOptions } from "../http/handler.ts";
import { httpHandlerOver } from "../http/handler.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { messageOf } from "./database.ts";
import { redact } from "./redact.ts";
import { version } from "./version.ts";
import { visible } from "./visible.ts";

/**
 * The outbox by HTTP, for any server that has Request and Response; for others there are `nodeHandler` and
 * `fastifyHandler`. Nothing is open by default: without `tokens` and `authenticate` only /health answers.
 */
export function createHttpHandler(outbox: Outbox, options: HttpHandlerOptions = {}): HttpHandler {
  return httpHandlerOver(outbox, options, { version, redact, onError });
}

function onError(error: unknown, requestId: string): void {
  console.error(`postcommit: request ${requestId} failed: ${visible(messageOf(error))}`);
}
