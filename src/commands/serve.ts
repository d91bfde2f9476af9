// serve: the HTTP server, until stopped.

import type { Command } from "commander";
import { typeOf } from "../outbox/registry.ts";
import { OutboxError } from "../outbox/errors.ts";
import { handlersOf } from "../service/handlers.ts";
import { checkHealth } from "../service/health.ts";
import { chooseDatabase, migrationsDir } from "../service/service.ts";
import type { CommandContext } from "./context.ts";
import { port } from "./flags.ts";
import { note } from "./output.ts";
import { stopSignals } from "./stop-signals.ts";

export function serve(program: Command, context: CommandContext): void {
  program
    .command("serve")
    .description("answer /health and /health/ready over HTTP, until stopped")
    .option("--port <port>", "where to listen", port, 3000)
    .option("--host <address>", "on which address", "127.0.0.1")
    .addHelpText("before", "Examples:\n  npm run app:cli serve\n  npm run app:cli -- serve --port 8080\n  npm run app:cli -- serve --host 0.0.0.0\n")
    .action(async (flags: { port: number; host: string }) => {
      const settings = await context.settings();
      const chosen = await chooseDatabase(settings, context.root);
      const types = handlersOf(settings).map(typeOf);
      const { createHttpApp } = await import("../http/app.ts");
      const app = createHttpApp({
        ready: async () => {
          const { healthy, problems } = await checkHealth(chosen.url, migrationsDir(context.root), types);
          // What is wrong in detail is for `health:db`: this page is open to everyone.
          return { ready: healthy, problems: problems.map((problem) => problem.split(/[.:]/)[0] ?? problem) };
        },
      });
      const stop = stopSignals(() => undefined);
      try {
        await listenUntil(stop.signal, app.fetch, flags, (url) => void note(context.io, {}, `Listening on ${url}. Stop with Ctrl-C.`));
      } finally {
        stop.release();
        await chosen.close();
      }
    });
}

/** Comes back when it has been stopped and open requests are answered, at most 10 s later. */
async function listenUntil(stop: AbortSignal, fetch: (request: Request) => Response | Promise<Response>, at: { port: number; host: string }, onListening: (url: string) => void): Promise<void> {
  const { serve: listen } = await import("@hono/node-server");
  await new Promise<void>((resolve, reject) => {
    const server = listen({ fetch, port: at.port, hostname: at.host }, ({ port: bound }) => onListening(`http://${at.host}:${bound}`));
    server.on("error", (cause: Error) => reject(new OutboxError("CONFIGURATION", `Cannot listen on ${at.host}:${at.port}: ${cause.message}.`, { cause })));
    stop.addEventListener("abort", () => {
      server.close(() => resolve());
      if ("closeAllConnections" in server) setTimeout(() => server.closeAllConnections(), 10_000).unref();
    });
  });
}
