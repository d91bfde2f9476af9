// jobs:worker: runs what is due, and goes on until it is stopped.

import type { Command } from "commander";
import { version } from "../service/version.ts";
import type { CommandContext } from "./context.ts";
import { duration } from "./flags.ts";
import type { RunFlags } from "./running.ts";
import { addRunFlags, underSignals } from "./running.ts";

interface WorkerFlags extends RunFlags {
  readonly poll: number;
}

export function jobsWorker(program: Command, context: CommandContext): void {
  addRunFlags(program.command("jobs:worker").description("run what is due, until stopped"))
    .option("--poll <time>", "how often to look for due jobs while there are none", duration, 1000)
    .addHelpText("before", "Examples:\n  npm run start:worker\n  npm run app:cli jobs:worker\n  npm run app:cli -- jobs:worker --type email.send,webhook.send --concurrency 5\n")
    .addHelpText("after", "\nSIGTERM or SIGINT: claims no more, lets running jobs finish within --drain-timeout, gives the rest back, exits 0.\nA second signal ends it at once (143, 130); what was running is rescued by others.\nThe log goes to stderr, as JSON lines off a terminal (LOG_LEVEL, LOG_FORMAT).")
    .action(async (flags: WorkerFlags) => {
      const { logLevel } = await context.settings();
      const level = flags.quiet === true ? "error" : flags.verbose === true ? "debug" : logLevel;
      await underSignals(context, { what: "a worker", level, jsonLog: true }, async (service, stop, log) => {
        const worker = service.outbox.worker({
          handlers: service.handlers,
          batch: flags.batch,
          concurrency: flags.concurrency,
          grace: flags.drainTimeout,
          pollMs: flags.poll,
          ...(flags.type === undefined ? {} : { types: flags.type }),
        });
        const stopping = () => void worker.stop();
        stop.addEventListener("abort", stopping, { once: true });
        log.write("info", { event: "worker_started", version, pid: process.pid }, `postcommit ${version} worker started, pid ${process.pid}`);
        if (stop.aborted) stopping();
        const tally = await worker.start();
        log.write("info", { event: "worker_stopped", ...tally }, `worker stopped: ${tally.done} done, ${tally.retried} retried, ${tally.dead} dead, ${tally.released} given back, ${tally.lost} lost`);
      });
    });
}
