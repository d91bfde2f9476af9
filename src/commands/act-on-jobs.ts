// What jobs:retry and jobs:cancel have in common: a selection, a look at what is meant, a question, the change, and what to
// run next. The change itself is outbox.retry or outbox.cancel.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { JobFilter } from "../outbox/filter.ts";
import type { ActionOptions, ActionReport } from "../outbox/job-actions.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { ask, canAsk, checkCount, consentFlags, jobs, showSamples } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { wholeNumber } from "./flags.ts";
import { jobRow } from "./jobs-list.ts";
import { note, printValue } from "./output.ts";
import type { SelectionFlags } from "./selection.ts";
import { addSelectionFlags, filterOf, selectionLine } from "./selection.ts";
import { withService } from "./with-service.ts";

export interface ActFlags extends SelectionFlags {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly reason?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly input: boolean;
}

export interface Act {
  /** "retry" or "cancel". */
  readonly verb: string;
  /** "retried" or "cancelled". */
  readonly past: string;
  /** As it is typed, for the line to run instead. */
  readonly more: readonly string[];
  readonly change: (outbox: Outbox, filter: JobFilter, options: ActionOptions) => Promise<ActionReport>;
  /** "Retried 3 jobs", "Would retry 3 jobs", "Retry 3 jobs". */
  readonly sentence: (tense: "did" | "would" | "do", report: ActionReport) => string;
  readonly next: string;
}

/** The flags of a change of jobs, beside those that select them. Ids may be given without --id. */
export function addActFlags(command: Command): Command {
  return addSelectionFlags(command.argument("[ids...]", "jobs by their ids, as with --id"))
    .option("-n, --dry-run", "count, show five samples, change nothing")
    .option("--yes", "change without asking; needed off a terminal")
    .option("--confirm <count>", "for more than 1,000 jobs: how many you expect", wholeNumber)
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--json", "print the report as one JSON document")
    .option("--no-input", "never ask")
    .option("-q, --quiet", "leave the notices on stderr out");
}

/** Runs the command and gives back its exit code. */
export async function actOnJobs(context: CommandContext, ids: readonly string[], given: ActFlags, act: Act): Promise<number> {
  const { io } = context;
  const flags: ActFlags = ids.length === 0 ? given : { ...given, id: [...(given.id ?? []), ...ids] };
  const filter = filterOf(flags);
  if (filter === null) {
    throw new OutboxError("USAGE", `Expected a selection of jobs, got none: name them by --id, --type, --status, --owner, --key, --ordering-key, --tag, --older-than, --error, --fingerprint or --payload. --all means every job. What they would be about shows\n  npm run -s app:cli -- jobs:${act.verb} --type email.send --dry-run`);
  }
  const lineFor = (more: { yes: boolean; confirm: number | null }) =>
    [`npm run -s app:cli -- jobs:${act.verb}`, ...selectionLine(flags), ...act.more, ...consentFlags({ ...more, reason: flags.reason ?? null })].join(" ");
  if (flags.dryRun !== true && flags.yes !== true && !(canAsk(io) && flags.input)) {
    throw new OutboxError("USAGE", `This ${act.verb} needs a yes, and nobody can be asked. Nothing was changed. To run it:\n  ${lineFor({ yes: true, confirm: flags.confirm ?? null })}`);
  }
  return withService(context, async (service) => {
    const seen = await act.change(service.outbox, filter, { dryRun: true });
    if (flags.dryRun === true) return await reportDryRun(context, flags, act, seen);
    if (seen.count === 0) return await report(context, flags, act, seen);
    const { confirm = null } = flags;
    checkCount({ count: seen.count, expected: confirm, confirm, lineFor: (count) => lineFor({ yes: true, confirm: count }) });
    if (flags.yes !== true) {
      await showSamples(io, { count: seen.count, samples: seen.samples.map(jobRow) });
      if (!(await ask(io, `${act.sentence("do", seen)}?`))) {
        await note(io, flags, "Nothing was changed.");
        return exitCodes.usage;
      }
    }
    // Not one job more or less than a person has agreed to, although others come and go meanwhile.
    const expect = flags.yes === true ? confirm : seen.count;
    const options = { actor: io.actor, ...(flags.reason !== undefined && { reason: flags.reason }), ...(expect !== null && { expect }) };
    return await report(context, flags, act, await act.change(service.outbox, filter, options));
  });
}

async function reportDryRun({ io }: CommandContext, flags: ActFlags, act: Act, seen: ActionReport): Promise<number> {
  if (flags.json === true) {
    await printValue(io, { dryRun: true, ...seen }, { json: true, ndjson: false });
    return exitCodes.ok;
  }
  await printValue(io, seen.count, { json: false, ndjson: false });
  await note(io, flags, `Dry run, nothing was changed. ${act.sentence("would", seen)}.${leftOut(seen)}`);
  if (seen.count > 0 && flags.quiet !== true) await showSamples(io, { count: seen.count, samples: seen.samples.map(jobRow) });
  return exitCodes.ok;
}

async function report({ io }: CommandContext, flags: ActFlags, act: Act, done: ActionReport): Promise<number> {
  const { count, running, keysTaken } = done;
  await printValue(io, flags.json === true ? { dryRun: false, count, running, keysTaken } : count, { json: flags.json ?? false, ndjson: false });
  if (count === 0) await note(io, flags, `None of the jobs that are selected can be ${act.past}; nothing was changed.${leftOut(done)}`);
  else await note(io, flags, `${act.sentence("did", done)}.${leftOut(done)} Next: ${act.next}`);
  return exitCodes.ok;
}

function leftOut({ keysTaken }: ActionReport): string {
  return keysTaken === 0 ? "" : ` ${jobs(keysTaken)} left out, because a later one holds the dedupe key.`;
}
