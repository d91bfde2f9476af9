// jobs:drain: runs what is due, then ends. Made for cron: silent on success, one line on stderr for each dead letter.

import { Option } from "commander";
import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { DrainReport } from "../outbox/drain.ts";
import { countDueByType, nextJobs, unhandledTypes } from "../outbox/inspect.ts";
import { createRegistry } from "../outbox/registry.ts";
import { checkHeartbeatUrl, withHeartbeat } from "../service/heartbeat.ts";
import type { Service } from "../service/service.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { duration, wholeNumber } from "./flags.ts";
import { note, printRows, printValue } from "./output.ts";
import { visible } from "../service/visible.ts";
import { showDrain } from "./drain-progress.ts";
import type { ProgressLine } from "./progress.ts";
import { progressLine } from "./progress.ts";
import type { RunFlags } from "./running.ts";
import { addRunFlags, underSignals } from "./running.ts";

interface DrainFlags extends RunFlags {
  readonly maxJobs?: number;
  readonly maxTime?: number;
  readonly summary?: boolean;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly failOn: "dead" | "failed" | "none";
  readonly exclusive?: boolean;
  readonly failIfLocked?: boolean;
  readonly heartbeatUrl?: string;
}

export function jobsDrain(program: Command, context: CommandContext): void {
  addRunFlags(program.command("jobs:drain").description("run what is due, then end"))
    .option("--max-jobs <n>", "take no more jobs than this", wholeNumber)
    .option("--max-time <time>", "give back what still runs after this time, for example 50s", duration)
    .option("--exclusive", "run nothing while another exclusive drain runs, on whatever host; only saves load")
    .option("--fail-if-locked", "with --exclusive: exit 75, not 0, when another one runs")
    .option("--heartbeat-url <url>", "ask for this URL after the drain, for a service that misses it; with /fail behind it when the drain did not work")
    .option("-n, --dry-run", "show what would run, run nothing")
    .option("--summary", "print the report even when nobody watches")
    .option("--json", "print the report as one JSON document")
    .addOption(new Option("--fail-on <what>", "exit 3 when jobs ended so").choices(["dead", "failed", "none"]).default("dead"))
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:drain\n  npm run -s app:cli -- jobs:drain --max-time 50s --json\n  npm run -s app:cli -- jobs:drain --dry-run\n")
    .addHelpText("after", "\nExit codes: 0 done (also when nothing was due), 2 usage, 3 jobs became dead letters, 69 database unreachable, 75 --fail-if-locked and another one runs, 78 configuration.")
    .action(async (flags: DrainFlags) => {
      if (flags.failIfLocked === true && flags.exclusive !== true) throw new OutboxError("USAGE", "Expected --exclusive beside --fail-if-locked: only exclusive drains lock each other out.");
      if (flags.heartbeatUrl !== undefined) checkHeartbeatUrl(flags.heartbeatUrl, "USAGE");
      const heartbeatUrl = flags.dryRun === true ? null : (flags.heartbeatUrl ?? (await context.settings()).heartbeatUrl);
      const progress = context.io.stderrIsTty && flags.quiet !== true && flags.verbose !== true ? progressLine(context.io.stderr) : null;
      if (progress !== null) context.adapt({ stderr: progress.stderr });
      const level = flags.quiet === true ? "error" : flags.verbose === true ? "info" : "warn";
      const run = () =>
        underSignals(context, { what: "a drain", level, jsonLog: false }, async (service, stop) => {
          if (flags.dryRun === true) return preview(service, context, flags).then(() => null);
          const { exitCode, locked } = await drain(service, context, flags, progress, stop);
          context.exitWith(exitCode);
          // Dead letters are what alerts are for; and of the drain that is at it, that one speaks itself.
          return locked ? null : exitCode === exitCodes.ok || exitCode === exitCodes.jobsFailed ? "worked" : "failed";
        });
      await withHeartbeat(heartbeatUrl, run, (sentence) => note(context.io, flags, sentence));
    });
}

async function drain(service: Service, context: CommandContext, flags: DrainFlags, progress: ProgressLine | null, stop: AbortSignal): Promise<{ exitCode: number; locked: boolean }> {
  const shown = progress === null ? null : showDrain(progress, service, flags.type);
  const report = await service.outbox.drain({
    handlers: service.handlers,
    schedules: service.settings.schedules,
    batch: flags.batch,
    concurrency: flags.concurrency,
    grace: flags.drainTimeout,
    lease: flags.lease,
    signal: stop,
    exclusive: flags.exclusive ?? false,
    ...(shown && { onState: shown.onState }),
    ...(flags.type === undefined ? {} : { types: flags.type }),
    ...(flags.maxJobs === undefined ? {} : { maxJobs: flags.maxJobs }),
    ...(flags.maxTime === undefined ? {} : { maxTime: flags.maxTime }),
  }).finally(() => shown?.end());
  const { io } = context;
  if (flags.json === true) await printValue(io, report, { json: true, ndjson: false });
  else if (flags.summary === true || io.stdoutIsTty) await printValue(io, sentenceOf(report), { json: false, ndjson: false });
  const noHandler = report.unhandled.filter(({ type }) => !report.unloadable.includes(type));
  for (const { type, count } of noHandler) {
    await note(io, flags, `${count} pending ${count === 1 ? "job" : "jobs"} of type "${visible(type)}": no handler here. ${adviceFor(type)}`);
  }
  return { exitCode: exitCodeOf(report, flags), locked: report.stopReason === "locked" };
}

function exitCodeOf(report: DrainReport, flags: DrainFlags): number {
  if (report.stopReason === "locked" && flags.failIfLocked === true) return exitCodes.locked;
  const failed = flags.failOn === "none" ? 0 : report.dead + (flags.failOn === "failed" ? report.retried : 0);
  if (failed > 0) return exitCodes.jobsFailed;
  return report.unloadable.length > 0 ? exitCodes.configuration : exitCodes.ok;
}

function adviceFor(type: string): string {
  if (type === "email.send") return "Set SMTP_URL; in production mail is not written into files.";
  if (/^payment\.(capture|cancel|refund)$/.test(type)) return "Set PAYMENT_API_KEY.";
  return "Add one in outbox.config.ts, or correct the type.";
}

function sentenceOf(report: DrainReport): string {
  const counted = (["done", "retried", "dead", "released", "cancelled", "lost"] as const).filter((kind) => report[kind] > 0).map((kind) => `${report[kind]} ${kind}`);
  const why = { empty: "nothing more is due", paused: "what is due waits for its type (npm run app:cli types:list)", max_jobs: "--max-jobs reached", max_time: "--max-time reached", signal: "stopped", locked: "another exclusive drain runs" }[report.stopReason];
  const rest = report.remaining > 0 ? `, ${report.remaining} still due` : "";
  const next = report.nextDueAt === null || report.remaining > 0 ? "" : `; the next is due at ${report.nextDueAt.toISOString()}`;
  return `${counted.length === 0 ? "0 jobs run" : counted.join(", ")}: ${why}${rest}${next}.`;
}

async function preview(service: Service, { io }: CommandContext, flags: DrainFlags): Promise<void> {
  const types = createRegistry(service.handlers, flags.type).types();
  const due = await countDueByType(service.database, types);
  const first = await nextJobs(service.database, types, 5);
  const unhandled = await unhandledTypes(service.database, types);
  if (flags.json === true) {
    await printValue(io, { due, first, unhandled }, { json: true, ndjson: false });
    return;
  }
  const total = due.reduce((sum, { count }) => sum + count, 0);
  await note(io, flags, total === 0 ? "Nothing is due: a drain would run no job." : `A drain would run ${total} jobs, beginning with these. Nothing was run.`);
  if (first.length > 0) await printRows(io, first, { json: false, ndjson: false });
  for (const { type, count } of flags.type === undefined ? unhandled : []) await note(io, flags, `${count} pending of type "${visible(type)}": no handler here.`);
}
