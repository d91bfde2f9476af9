// serve: the HTTP server, until stopped.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { Contract } from "../outbox/define.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { Log } from "../service/log.ts";
import type { Service } from "../service/service.ts";
import { migrationsDir } from "../service/place.ts";
import type { CommandContext } from "./context.ts";
import { duration, port, wholeNumber } from "./flags.ts";
import { listen } from "./listen.ts";
import { note } from "./output.ts";
import { underSignals } from "./running.ts";

interface ServeFlags {
  readonly port: number;
  readonly host: string;
  readonly basePath: string;
  readonly maxTime: number;
  readonly concurrency: number;
  readonly drainTimeout: number;
}

/** Beyond what running jobs are given at the end, for their answers to be sent. */
const answeringMs = 5_000;

export function serve(program: Command, context: CommandContext): void {
  program
    .command("serve")
    .description("answer over HTTP, until stopped: enqueue, look, run what is due, health")
    .option("--port <port>", "where to listen", port, 3000)
    .option("--host <address>", "on which address; one that others reach needs tokens (HTTP_TOKENS_…)", "127.0.0.1")
    .option("--base-path <path>", "what stands before all paths, such as /jobs-admin", "")
    .option("--max-time <time>", "how long one request runs jobs, at most", duration, 50_000)
    .option("--concurrency <n>", "jobs running at once for one request, at most", wholeNumber, 20)
    .option("--drain-timeout <time>", "how long running jobs may go on after a stop", duration, 20_000)
    .addHelpText("before", "Examples:\n  npm run app:cli serve\n  npm run app:cli -- serve --port 8080 --base-path /jobs-admin\n  HTTP_TOKENS_RUN=$(openssl rand -hex 32) npm run app:cli -- serve --host 0.0.0.0\n")
    .addHelpText(
      "after",
      "\nWithout tokens only /health and /health/ready answer. HTTP_TOKENS_VIEW, HTTP_TOKENS_OPERATE and HTTP_TOKENS_RUN hold them; docs/reference/http.md has the routes.\nSIGTERM or SIGINT: takes no new requests, answers the open ones, gives back what still runs after --drain-timeout, exits 0.\nExit codes: 0 stopped by a signal, 2 usage, 78 the configuration is wrong, no token for others to reach it by, or the port is taken, 130 and 143 a second signal.",
    )
    .action(async (flags: ServeFlags) => {
      const settings = await context.settings();
      const withTokens = Object.values(settings.httpTokens).some((tokens) => tokens.length > 0);
      if (!withTokens && !isLoopback(flags.host)) {
        throw new OutboxError("CONFIGURATION", `Expected a token before others can reach the server on ${flags.host}, got none: set HTTP_TOKENS_VIEW, HTTP_TOKENS_OPERATE or HTTP_TOKENS_RUN to the output of \`openssl rand -hex 32\`, or listen on 127.0.0.1.`);
      }
      await underSignals(context, { what: "a server", level: settings.logLevel, jsonLog: true }, async (service, stop, log) => {
        const handler = await handlerOver(service, { flags, stop, log, root: context.root });
        const server = await listen((request) => handler(request), flags, flags.drainTimeout + answeringMs);
        await note(context.io, {}, `Listening on ${server.url}. Stop with Ctrl-C.${withTokens ? "" : " There are no tokens, so only /health and /health/ready answer."}`);
        if (!stop.aborted) await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
        await server.close();
      });
    });
}

/** Of an address that only this machine reaches. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

async function handlerOver(service: Service, { flags, stop, log, root }: { flags: ServeFlags; stop: AbortSignal; log: Log; root: string }) {
  const [{ createHttpHandler }, { checkHealth }, { messageOf }, { createMetrics }] = await Promise.all([
    import("../service/create-http-handler.ts"),
    import("../service/health.ts"),
    import("../service/database.ts"),
    import("../service/metrics/metrics.ts"),
  ]);
  const { settings, outbox, handlers, databaseUrl } = service;
  const types = handlers.map(typeOf);
  const metrics = await createMetrics(outbox, { types });
  service.hear(metrics.emit);
  return createHttpHandler(outbox, {
    tokens: settings.httpTokens,
    contracts: await contractsOf(handlers, log),
    handlers,
    schedules: settings.schedules,
    concurrency: flags.concurrency,
    maxTime: flags.maxTime,
    grace: flags.drainTimeout,
    basePath: flags.basePath,
    signal: stop,
    metrics,
    async ready() {
      const { healthy, problems } = await checkHealth(databaseUrl, migrationsDir(root), types, { alerts: settings.alerts });
      // What is wrong in detail is for `health:db`: this page is open to everyone.
      return { ready: healthy, problems: problems.map((problem) => problem.split(/[.:]/)[0] ?? problem) };
    },
    onError: (error, requestId) => log.write("error", { event: "request_failed", requestId }, `request ${requestId} failed: ${messageOf(error)}`),
  });
}

/** A handler that does not load is told of, and its type cannot be enqueued here; the others can. */
async function contractsOf(handlers: readonly HandlerEntry[], log: Log): Promise<Contract[]> {
  const found = await Promise.all(
    handlers.map(async (entry) => {
      if (!("load" in entry)) return [entry.contract];
      try {
        return [entry.contract ?? (await entry.load()).contract];
      } catch (error) {
        log.write("warn", { event: "handler_failed", type: entry.type }, `the handler of "${entry.type}" does not load, so its jobs cannot be enqueued here: ${error instanceof Error ? error.message : String(error)}`);
        return [];
      }
    }),
  );
  return found.flat();
}
