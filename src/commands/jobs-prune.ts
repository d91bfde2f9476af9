// jobs:prune: deletes finished jobs. Without flags what retention says, never asking, for cron; with --older-than or
// --status what they say, asking as every change does.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { PruneOptions, PruneReport } from "../outbox/prune.ts";
import { expectFinished } from "../outbox/prune.ts";
import { shownDuration } from "../outbox/retention.ts";
import { ask, canAsk, checkCount, consentFlags, jobs, showSamples } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { duration, list, wholeNumber } from "./flags.ts";
import { note, printValue } from "./output.ts";
import { stopSignals } from "./stop-signals.ts";
import { withService } from "./with-service.ts";

interface PruneFlags {
  readonly olderThan?: number;
  readonly status?: string[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly reason?: string;
  readonly json?: boolean;
}

export function jobsPrune(program: Command, context: CommandContext): void {
  program
    .command("jobs:prune")
    .description("delete jobs that finished long ago")
    .option("--older-than <time>", "those that finished longer ago than this, for example 30d; default: what retention says for their status", duration)
    .option("--status <statuses>", "only these, with commas between them: done, cancelled, error; default with --older-than: done,cancelled", list)
    .option("-n, --dry-run", "count, show five samples, delete nothing")
    .option("--yes", "delete without asking; with --older-than or --status needed off a terminal")
    .option("--confirm <count>", "for more than 1,000 jobs by --older-than or --status: how many you expect", wholeNumber)
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--json", "print the report as one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:prune\n  npm run -s app:cli -- jobs:prune --dry-run\n  npm run -s app:cli -- jobs:prune --older-than 30d --status done,cancelled --yes\n")
    .addHelpText(
      "after",
      "\nWithout --older-than and --status it deletes what retention in outbox.config.ts says (done and cancelled 7d, dead letters 30d), never asks, and is silent off a terminal: workers do the same every hour, or as often as the shortest retention when that is less.\nDead letters that block their ordering key and jobs that still hold their dedupe key are kept in any case.\nExit codes: 0 done (also when there was nothing to delete, or after a stop), 2 usage or missing confirmation, 69 database unreachable, 78 configuration.",
    )
    .action(async (flags: PruneFlags) => {
      checkFlags(flags, context);
      await withService(context, async ({ outbox }) => {
        const stop = stopSignals((name) => void note(context.io, { quiet: !context.io.stderrIsTty }, `Stopping on ${name}, after this step.`));
        try {
          context.exitWith(await prune(outbox, context, flags, stop.signal));
        } finally {
          stop.release();
        }
      });
    });
}

const isRoutine = ({ olderThan, status }: PruneFlags): boolean => olderThan === undefined && status === undefined;

/** Before a database is opened, so that a refusal costs nothing. */
function checkFlags(flags: PruneFlags, { io }: CommandContext): void {
  if (flags.status !== undefined) expectFinished(flags.status);
  if (flags.confirm !== undefined && isRoutine(flags)) {
    throw new OutboxError("USAGE", "Expected --confirm with --older-than or --status only: what retention says is deleted unasked, however many.");
  }
  if (isRoutine(flags) || flags.yes === true || flags.dryRun === true || canAsk(io)) return;
  throw new OutboxError("USAGE", `This prune needs a yes, and nobody can be asked. Nothing was changed. To run it:\n  ${lineOf({ ...flags, yes: true })}`);
}

async function prune(outbox: Outbox, context: CommandContext, flags: PruneFlags, signal: AbortSignal): Promise<number> {
  const { io } = context;
  const selection: PruneOptions = {
    signal,
    ...(flags.olderThan === undefined ? {} : { olderThan: flags.olderThan }),
    ...(flags.status === undefined ? {} : { statuses: expectFinished(flags.status) }),
  };
  const change = { ...selection, actor: io.actor, reason: flags.reason ?? null };
  if (flags.dryRun === true) {
    await reportDryRun(context, flags, await outbox.prune({ ...selection, dryRun: true }));
    return exitCodes.ok;
  }
  if (isRoutine(flags)) {
    await report(context, flags, await outbox.prune(change), signal);
    return exitCodes.ok;
  }
  const seen = await outbox.prune({ ...selection, dryRun: true });
  if (signal.aborted || seen.count === 0) {
    await report(context, flags, { ...seen, count: 0, done: 0, cancelled: 0, dead: 0 }, signal);
    return exitCodes.ok;
  }
  const { confirm = null } = flags;
  checkCount({ count: seen.count, expected: confirm, confirm, lineFor: (count) => lineOf({ ...flags, yes: true, confirm: count }) });
  if (flags.yes !== true) {
    await showSamples(io, { count: seen.count, samples: seen.samples });
    if (!(await ask(io, `Delete ${counted(seen)}?`))) {
      await note(io, {}, "Nothing was changed.");
      return exitCodes.usage;
    }
  }
  // Never more than the number that was agreed to, although others may finish or be redriven meanwhile.
  await report(context, flags, await outbox.prune({ ...change, limit: seen.count }), signal);
  return exitCodes.ok;
}

async function reportDryRun({ io }: CommandContext, flags: PruneFlags, found: PruneReport): Promise<void> {
  if (flags.json === true) return printValue(io, { dryRun: true, ...numbers(found), samples: found.samples }, { json: true, ndjson: false });
  await printValue(io, found.count, { json: false, ndjson: false });
  await note(io, {}, `Dry run, nothing was changed. Would delete ${counted(found)}.${found.complete ? "" : " It was stopped before it had counted all."}`);
  if (found.count > 0) await showSamples(io, { count: found.count, samples: found.samples });
}

async function report({ io }: CommandContext, flags: PruneFlags, deleted: PruneReport, signal: AbortSignal): Promise<void> {
  if (flags.json === true) return printValue(io, { dryRun: false, ...numbers(deleted), stopped: signal.aborted }, { json: true, ndjson: false });
  if (isRoutine(flags) && !io.stdoutIsTty) return; // cron mails whatever is written
  await printValue(io, deleted.count, { json: false, ndjson: false });
  const stopped = signal.aborted ? " It was stopped before the end; run it again to go on." : "";
  await note(io, {}, `Deleted ${counted(deleted)}.${stopped} Next: npm run app:cli health:db`);
}

const numbers = ({ count, done, cancelled, dead, slots }: PruneReport) => ({ count, done, cancelled, dead, slots });

/** "3 jobs (2 done, 1 dead letter)", "1 job (1 done) and 40 old slots of schedules". */
function counted({ count, done, cancelled, dead, slots }: PruneReport): string {
  const parts = [done > 0 ? `${done} done` : "", cancelled > 0 ? `${cancelled} cancelled` : "", dead > 0 ? `${dead} dead ${dead === 1 ? "letter" : "letters"}` : ""];
  const statuses = parts.filter((part) => part !== "").join(", ");
  return `${jobs(count)}${statuses === "" ? "" : ` (${statuses})`}${slots > 0 ? ` and ${slots} old ${slots === 1 ? "slot" : "slots"} of schedules` : ""}`;
}

function lineOf({ olderThan, status, yes = false, confirm, reason }: PruneFlags): string {
  const flags = [...(olderThan === undefined ? [] : [`--older-than ${shownDuration(olderThan)}`]), ...(status === undefined ? [] : [`--status ${status.join(",")}`])];
  return ["npm run -s app:cli -- jobs:prune", ...flags, ...consentFlags({ yes, confirm: confirm ?? null, reason: reason ?? null })].join(" ");
}
