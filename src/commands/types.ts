// types:list, types:pause, types:resume. What they call is the outbox's own types, pause and resume.

import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { durationMs } from "../outbox/duration.ts";
import type { TypeState } from "../outbox/inspect-types.ts";
import { maxCounted } from "../outbox/inspect-types.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { typeOf } from "../outbox/registry.ts";
import { shownDuration } from "../outbox/retention.ts";
import { visible } from "../service/visible.ts";
import { quoted } from "../outbox/shell.ts";
import type { CommandContext } from "./context.ts";
import { instantIn } from "./instant.ts";
import { closest } from "./db-outbox/refuse.ts";
import type { OutputRow } from "./output.ts";
import { note, printRows, printValue } from "./output.ts";
import { withService } from "./with-service.ts";

interface ActionFlags {
  readonly until?: Date | number;
  readonly dryRun?: boolean;
  readonly reason?: string;
  readonly json?: boolean;
}

/** The outbox, the types that something is known of, and those that have a handler here. */
interface Known {
  readonly outbox: Outbox;
  readonly listed: readonly TypeState[];
  readonly handled: readonly string[];
}

const exits = "\nExit codes: 0 done (also when there was nothing to change), 2 usage, 69 database unreachable, 78 configuration.";

export function typeCommands(program: Command, context: CommandContext): void {
  program
    .command("types:list")
    .description("show every type that has jobs, a pause or limits")
    .option("--json", "print one JSON document")
    .option("--ndjson", "print one JSON document a line")
    .addHelpText("before", "Examples:\n  npm run app:cli types:list\n  npm run -s app:cli -- types:list --json\n  npm run app:cli types:pause email.send\n")
    .addHelpText("after", `\nPending jobs are counted up to ${maxCounted}.\nExit codes: 0 done (also when there is none), 69 database unreachable, 78 configuration.`)
    .action((flags: { json?: boolean; ndjson?: boolean }) => withTypes(context, (known) => list(context, known, { json: flags.json ?? false, ndjson: flags.ndjson ?? false })));
  action(program, "pause", "claim no more jobs of a type; those that run go on")
    .option("--until <when>", "when the pause ends by itself: a time from now, for example 2h, or an instant, for example 2026-12-01T08:00Z", moment)
    .addHelpText("before", "Examples:\n  npm run app:cli types:pause email.send\n  npm run -s app:cli -- types:pause email.send --until 2h --reason 'the mail server is down'\n  npm run -s app:cli -- types:pause email.send --until 2026-12-01T08:00Z --dry-run\n")
    .action((type: string, flags: ActionFlags) => withTypes(context, (known) => pause(context, known, type, flags)));
  action(program, "resume", "claim jobs of a paused type again")
    .addHelpText("before", "Examples:\n  npm run app:cli types:resume email.send\n  npm run -s app:cli -- types:resume email.send --reason 'the mail server is back'\n  npm run -s app:cli -- types:resume email.send --dry-run\n")
    .action((type: string, flags: ActionFlags) => withTypes(context, (known) => resume(context, known, type, flags)));
}

function action(program: Command, verb: string, description: string): Command {
  return program
    .command(`types:${verb}`)
    .description(description)
    .argument("<type>", "the type, as types:list shows it")
    .option("-n, --dry-run", "say what would change, change nothing")
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--json", "print one JSON document")
    .addHelpText("after", exits);
}

/** `2h` in milliseconds, or an instant. */
function moment(value: string): Date | number {
  const at = instantIn(value);
  if (at !== null) return at;
  try {
    return durationMs(value, "it");
  } catch {
    throw new InvalidArgumentError(`Expected a time from now such as 30m or 2h, or an instant such as 2026-12-01T08:00Z or 2026-12-01T08:00+01:00, got ${JSON.stringify(value)}.`);
  }
}

async function withTypes(context: CommandContext, work: (known: Known) => Promise<void>): Promise<void> {
  await withService(context, async (service) => {
    await work({ outbox: service.outbox, listed: await service.outbox.types(), handled: service.handlers.map(typeOf) });
  });
}

async function list({ io }: CommandContext, { listed, handled }: Known, format: { json: boolean; ndjson: boolean }): Promise<void> {
  const rows = format.json || format.ndjson ? listed.map((state) => ({ ...state })) : listed.map(shown);
  await printRows(io, rows, format, ["type", "pending", "running", "paused", "until", "concurrency", "rate", "nextDue", "by", "reason", "tokens", "blockedUntil", "breaker"]);
  for (const { type, pending } of listed) {
    if (pending > 0 && !handled.includes(type)) await note(io, {}, `"${visible(type)}" has no handler here.`);
  }
}

/** A type as one line of a table. */
function shown(state: TypeState): OutputRow {
  const { concurrency, rateLimit, rateMs } = state;
  return {
    type: state.type,
    pending: state.pending < maxCounted ? state.pending : `${maxCounted}+`,
    running: state.running,
    paused: state.pausedAt,
    until: state.pausedUntil,
    concurrency: concurrency === null ? null : state.concurrencyByKey ? `${concurrency} per key` : String(concurrency),
    rate: rateLimit === null || rateMs === null ? null : `${rateLimit} per ${shownDuration(rateMs)}`,
    nextDue: state.nextDueAt,
    by: state.pausedBy,
    reason: state.pauseReason,
    tokens: state.tokens,
    blockedUntil: state.blockedUntil,
    breaker: state.breaker,
  };
}

async function pause({ io }: CommandContext, known: Known, type: string, { until, dryRun = false, reason, json = false }: ActionFlags): Promise<void> {
  await warnOfUnknown(io, known, type);
  const before = known.listed.find((state) => state.type === type);
  const already = before?.pausedAt ? ` It was paused already, by ${visible(before.pausedBy ?? "somebody")}.` : "";
  if (dryRun) {
    await printValue(io, json ? { dryRun, type, until: until ?? null, pending: before?.pending ?? 0 } : 1, { json, ndjson: false });
    return note(io, {}, `Dry run, nothing was changed. Would pause "${visible(type)}"${endOf(until)}: ${held(before)}.${already}`);
  }
  const paused = await known.outbox.pause(type, { actor: io.actor, ...(until === undefined ? {} : { until }), ...(reason === undefined ? {} : { reason }) });
  await printValue(io, json ? { dryRun, ...paused } : 1, { json, ndjson: false });
  await note(io, {}, `Paused "${visible(type)}"${endOf(paused.until ?? undefined)}: ${held(before)}.${already} Next: npm run app:cli types:resume ${quoted(visible(type))}`);
}

async function resume({ io }: CommandContext, known: Known, type: string, { dryRun = false, reason, json = false }: ActionFlags): Promise<void> {
  await warnOfUnknown(io, known, type);
  const before = known.listed.find((state) => state.type === type);
  const changed = dryRun ? Boolean(before?.pausedAt) : await known.outbox.resume(type, { actor: io.actor, ...(reason === undefined ? {} : { reason }) });
  await printValue(io, json ? { dryRun, type, changed } : Number(changed), { json, ndjson: false });
  if (dryRun) return note(io, {}, `Dry run, nothing was changed. ${changed ? `Would resume "${visible(type)}".` : "It is not paused."}`);
  await note(io, {}, changed ? `Resumed "${visible(type)}". Next: npm run app:cli jobs:drain` : "Nothing was changed: it is not paused.");
}

/** A type may be paused before its first job. A mistyped one would be paused just as well, and hold nothing back. */
async function warnOfUnknown(io: CommandContext["io"], { listed, handled }: Known, type: string): Promise<void> {
  const names = [...new Set([...handled, ...listed.map((state) => state.type)])];
  if (names.includes(type)) return;
  const guess = closest(type, names);
  await note(io, {}, `No handler here, no pending job and no limit has the type "${visible(type)}".${guess === null ? "" : ` Did you mean "${visible(guess)}"?`}`);
}

function endOf(until: Date | number | undefined): string {
  if (until === undefined) return " until somebody resumes it";
  return until instanceof Date ? ` until ${until.toISOString()}` : ` for ${shownDuration(until)}`;
}

function held(state: TypeState | undefined): string {
  const { pending = 0, running = 0 } = state ?? {};
  return `${pending < maxCounted ? pending : `${maxCounted} or more`} pending ${pending === 1 ? "job waits" : "jobs wait"}, ${running} running ${running === 1 ? "goes" : "go"} on`;
}
