// serve: the HTTP server, until stopped.

import type { Command } from "commander";
import { typeOf } from "../outbox/registry.ts";
import { migrationsDir } from "../service/place.ts";
import type { CommandContext } from "./context.ts";
import { port } from "./flags.ts";
import { listen } from "./listen.ts";
import { note } from "./output.ts";
import { stopSignals } from "./stop-signals.ts";

export function serve(program: Command, context: CommandContext): void {
  program
    .command("serve")
    .description("answer /health and /health/ready over HTTP, until stopped")
    .option("--port <port>", "where to listen", port, 3000)
    .option("--host <address>", "on which address", "127.0.0.1")
    .addHelpText("before", "Examples:\n  npm run app:cli serve\n  npm run app:cli -- serve --port 8080\n  npm run app:cli -- serve --host 0.0.0.0\n")
    .addHelpText("after", "\nExit codes: 0 stopped by a signal, 2 usage, 78 the configuration is wrong, or the port is taken.")
    .action(async (flags: { port: number; host: string }) => {
      const settings = await context.settings();
      const [{ chooseDatabase }, { checkHealth }, { handlersOf }] = await Promise.all([import("../service/service.ts"), import("../service/health.ts"), import("../service/handlers.ts")]);
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
        const server = await listen(app.fetch, flags);
        await note(context.io, {}, `Listening on ${server.url}. Stop with Ctrl-C.`);
        await new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
        await server.close();
      } finally {
        stop.release();
        await chosen.close();
      }
    });
}
