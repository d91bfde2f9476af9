// jobs:worker: runs what is due, and goes on until it is stopped.

import type { Command } from "commander";
import { typeOf } from "../outbox/registry.ts";
import type { Worker } from "../outbox/worker.ts";
import type { Service } from "../service/service.ts";
import { version } from "../service/version.ts";
import type { CommandContext } from "./context.ts";
import { duration, port } from "./flags.ts";
import { listen } from "./listen.ts";
import { note } from "./output.ts";
import type { RunFlags } from "./running.ts";
import { addRunFlags, underSignals } from "./running.ts";

interface WorkerFlags extends RunFlags {
  readonly poll: number;
  readonly idleTimeout?: number;
  readonly probePort?: number;
  readonly probeHost: string;
}

/** A worker asks the database about once a second; after this much silence it is not ready. */
const silentMs = 15_000;

export function jobsWorker(program: Command, context: CommandContext): void {
  addRunFlags(program.command("jobs:worker").description("run what is due, until stopped"))
    .option("--poll <time>", "how often to look for due jobs while no enqueue rings", duration, 1000)
    .option("--idle-timeout <time>", "end when there has been nothing to do for so long", duration)
    .option("--probe-port <port>", "answer /health (alive), /health/ready (reaches the database) and /metrics over HTTP; 0 takes a free port", port)
    .option("--probe-host <address>", "on which address", "127.0.0.1")
    .addHelpText("before", "Examples:\n  npm run start:worker\n  npm run app:cli jobs:worker\n  npm run app:cli -- jobs:worker --type email.send,webhook.send --concurrency 5\n")
    .addHelpText("after", "\nSIGTERM or SIGINT: claims no more, lets running jobs finish within --drain-timeout, gives the rest back, exits 0.\nA second signal ends it at once (143, 130); what was running is rescued by others.\nThe log goes to stderr, as JSON lines off a terminal (LOG_LEVEL, LOG_FORMAT), with a sign of life every 30 s.\nExit codes: 0 stopped by a first signal, or by --idle-timeout, 2 usage, 78 configuration, 130 and 143 a second signal. While the database is away it waits.")
    .action(async (flags: WorkerFlags) => {
      const { logLevel } = await context.settings();
      const level = flags.quiet === true ? "error" : flags.verbose === true ? "debug" : logLevel;
      await underSignals(context, { what: "a worker", level, jsonLog: true }, async (service, stop, log) => {
        const worker = service.outbox.worker({
          handlers: service.handlers,
          schedules: service.settings.schedules,
          batch: flags.batch,
          concurrency: flags.concurrency,
          grace: flags.drainTimeout,
          lease: flags.lease,
          pollMs: flags.poll,
          ...(flags.idleTimeout === undefined ? {} : { idleTimeout: flags.idleTimeout }),
          ...(flags.type === undefined ? {} : { types: flags.type }),
        });
        const stopping = () => void worker.stop();
        stop.addEventListener("abort", stopping, { once: true });
        const probes = flags.probePort === undefined ? null : await listen(await probesOf(worker, service, flags.type), { host: flags.probeHost, port: flags.probePort });
        if (probes !== null) await note(context.io, flags, `Probes on ${probes.url}/health and ${probes.url}/health/ready, metrics on ${probes.url}/metrics.`);
        log.write("info", { event: "worker_started", version, pid: process.pid }, `postcommit ${version} worker started, pid ${process.pid}`);
        if (stop.aborted) stopping();
        try {
          const tally = await worker.start();
          log.write("info", { event: "worker_stopped", ...tally }, `worker stopped: ${tally.done} done, ${tally.retried} retried, ${tally.dead} dead, ${tally.released} given back, ${tally.lost} lost`);
        } finally {
          await probes?.close();
        }
      });
    });
}

/** Asks the worker, not the database: a probe must answer at once while the database does not. */
async function probesOf(worker: Worker, service: Service, types = service.handlers.map(typeOf)): Promise<(request: Request) => Response | Promise<Response>> {
  const [{ createHttpApp }, { createMetrics }] = await Promise.all([import("../http/app.ts"), import("../service/metrics/metrics.ts")]);
  const metrics = await createMetrics(service.outbox, { types });
  service.hear(metrics.emit);
  const app = createHttpApp({
    metrics,
    ready: () => {
      const { working, silentMs: silent } = worker.status();
      const problems = [...(working ? [] : ["The worker is not running"]), ...(silent > silentMs ? [`The database has not answered for ${Math.round(silent / 1000)} s`] : [])];
      return Promise.resolve({ ready: problems.length === 0, problems });
    },
  });
  return (request) => app.fetch(request);
}
