// The HTTP side of the service, a fetch handler: (Request) => Promise<Response>. So far it answers for its health.

import { Hono } from "hono";

export interface HttpOptions {
  /** Whether the database can do its work, and in a few words why not. */
  readonly ready: () => Promise<{ readonly ready: boolean; readonly problems: readonly string[] }>;
}

export function createHttpApp({ ready }: HttpOptions): Hono {
  const app = new Hono();
  // Alive: the process answers. Says nothing about the database, so that an orchestrator does not kill a waiting process.
  app.get("/health", (context) => context.json({ status: "ok" }));
  app.get("/health/ready", async (context) => {
    const { ready: isReady, problems } = await ready();
    return context.json({ status: isReady ? "ready" : "not ready", problems }, isReady ? 200 : 503);
  });
  app.notFound((context) => context.json({ title: "Not found", status: 404, detail: `There is nothing at ${context.req.path}.` }, 404, { "content-type": "application/problem+json" }));
  app.onError((_, context) => context.json({ title: "Internal error", status: 500 }, 500, { "content-type": "application/problem+json" }));
  return app;
}
