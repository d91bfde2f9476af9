// What jobs:drain and jobs:worker share: their flags, the service they open, and how they are stopped.

import type { Command } from "commander";
import type { Duration } from "../outbox/duration.ts";
import type { Log } from "../service/log.ts";
import type { LogLevel } from "../service/config.ts";
import type { Service } from "../service/service.ts";
import type { CommandContext } from "./context.ts";
import { duration, list, wholeNumber } from "./flags.ts";
import { note } from "./output.ts";
import { outliveReader } from "./readers.ts";
import { guardExit, stopSignals } from "./stop-signals.ts";

export interface RunFlags {
  readonly type?: string[];
  readonly batch: number;
  readonly concurrency: number;
  readonly drainTimeout: Duration;
  readonly lease: Duration;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
}

export function addRunFlags(command: Command): Command {
  return command
    .option("--type <types>", "only these types, with commas between them", list)
    .option("--batch <n>", "jobs taken by one claim, at most", wholeNumber, 20)
    .option("--concurrency <n>", "jobs running at once, at most", wholeNumber, 20)
    .option("--drain-timeout <time>", "how long running jobs may go on after a stop", duration, 30_000)
    .option("--lease <time>", "silent for so long, a drain or worker is dead and others return its jobs; from 1s", duration, 30_000)
    .option("-v, --verbose", "say more on stderr")
    .option("-q, --quiet", "say only what failed");
}

/** Opens the service, runs `work` under the stop signals, and closes everything again. */
export async function underSignals<Value>(
  context: CommandContext,
  options: { readonly what: string; readonly level: LogLevel; readonly jsonLog: boolean },
  work: (service: Service, stop: AbortSignal, log: Log) => Promise<Value>,
): Promise<Value> {
  const { io } = context;
  // At once, and only now: --help needs none of it.
  const [settings, { openService }, { createLog }, { logEvents }, { concealingLater, secretSettings }] = await Promise.all([context.settings(), import("../service/service.ts"), import("../service/log.ts"), import("../service/log-events.ts"), import("../service/conceal.ts")]);
  const log = createLog({ level: options.level, format: settings.logFormat ?? (options.jsonLog && !io.stderrIsTty ? "json" : "text"), stderr: io.stderr, conceal: concealingLater(() => secretSettings(settings, settings.databaseUrl ?? "")) });
  const service = await openService(settings, context.root, logEvents(log));
  const stop = stopSignals((name) => {
    if (io.stderrIsTty || options.level === "info" || options.level === "debug") {
      void note(io, {}, `Stopping on ${name}: running jobs may finish. A second signal ends the process at once.`);
    }
  });
  // A promise that a handler has forgotten must not take its neighbours down with it.
  const onRejection = (reason: unknown) => log.write("error", { event: "unhandled_rejection" }, `a handler left a rejected promise behind: ${reason instanceof Error ? reason.message : String(reason)}`);
  process.on("unhandledRejection", onRejection);
  const liftGuard = guardExit(options.what);
  outliveReader();
  try {
    return await work(service, stop.signal, log);
  } finally {
    await service.close();
    await log.flush();
    liftGuard();
    process.off("unhandledRejection", onRejection);
    stop.release();
  }
}
