// The handler for the App Router of Next.js, in app/jobs-admin/[...path]/route.ts, or for any file whose exports are methods.

import type { HttpHandler } from "../app.ts";

export interface RouteHandlers {
  readonly GET: HttpHandler;
  readonly HEAD: HttpHandler;
  readonly POST: HttpHandler;
}

/** `export const { GET, HEAD, POST } = routeHandlers(handler);` */
export function routeHandlers(handler: HttpHandler): RouteHandlers {
  return { GET: handler, HEAD: handler, POST: handler };
}
