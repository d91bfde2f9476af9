// stats: how many jobs there are, what is due, how fast they run. Cheap at any size of the table; estimates bear a "~".
// Next: stats/show.ts (how it looks).

import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { Database } from "../outbox/database.ts";
import type { Stats } from "../outbox/inspect-stats.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { duration, wholeNumber } from "./flags.ts";
import type { CommandIo } from "./output.ts";
import { note, printRows, printValue, write } from "./output.ts";
import type { TypeStats } from "./stats/show.ts";
import { withService } from "./with-service.ts";

interface StatsFlags {
  readonly watch?: boolean;
  readonly interval: number;
  readonly json?: boolean;
  readonly maxDead?: number;
  readonly maxPending?: number;
  readonly maxOldestDue?: number;
  readonly minWorkers?: number;
}

/** Nobody reads faster, and the database has something better to do. */
const leastIntervalMs = 200;

export function stats(program: Command, context: CommandContext): void {
  program
    .command("stats")
    .description("show how many jobs there are, what is due and how fast they run")
    .option("--watch", "go on showing them until Ctrl-C; piped, a line each time")
    .option("--interval <time>", "how often, with --watch", interval, 2000)
    .option("--json", "print one JSON document; with --watch, one a line")
    .option("--max-dead <n>", "exit 4 when there are more dead letters", fromZero)
    .option("--max-pending <n>", "exit 4 when more jobs are pending", fromZero)
    .option("--max-oldest-due <time>", "exit 4 when a job has been due for longer, for example 5m", duration)
    .option("--min-workers <n>", "exit 4 when fewer workers are alive", wholeNumber)
    .addHelpText("before", "Examples:\n  npm run app:cli stats\n  npm run -s app:cli -- stats --watch --interval 1s\n  npm run -s app:cli -- stats --max-dead 0 --max-oldest-due 5m || echo 'call somebody'\n")
    .addHelpText("after", "\n~ marks an estimate: of a large table, what would take long to count comes from Postgres's statistics.\n\nExit codes: 0 done, also after Ctrl-C, 2 usage, 4 over a threshold, 69 database unreachable, 78 configuration.")
    .action((flags: StatsFlags) => run(context, flags));
}

/** A whole number from 0: no dead letter at all is a good threshold. */
function fromZero(value: string): number {
  if (/^\d+$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value);
  throw new InvalidArgumentError(`Expected a whole number from 0, got ${JSON.stringify(value)}.`);
}

function interval(value: string): number {
  const ms = duration(value);
  if (ms >= leastIntervalMs) return ms;
  throw new InvalidArgumentError(`Expected a time from ${leastIntervalMs}ms, got ${JSON.stringify(value)}.`);
}

async function run(context: CommandContext, flags: StatsFlags): Promise<void> {
  const { watch = false, maxDead, maxPending, maxOldestDue, minWorkers } = flags;
  if (watch && [maxDead, maxPending, maxOldestDue, minWorkers].some((threshold) => threshold !== undefined)) {
    throw new OutboxError("USAGE", "Expected thresholds without --watch, got both: a check looks once. Leave out --watch.");
  }
  await withService(context, async (service) => {
    await (watch ? watchStats(context, service.database, flags) : showOnce(context, service.database, flags));
  });
}

async function look(database: Database, since: Date | null, exactUpTo: number): Promise<{ read: Stats; types: TypeStats[] }> {
  const [{ readStats, countDeadByType }, { listTypes }] = await Promise.all([import("../outbox/inspect-stats.ts"), import("../outbox/inspect-types.ts")]);
  const [read, listed, dead] = await Promise.all([readStats(database, { since, exactUpTo }), listTypes(database), countDeadByType(database)]);
  const known = new Map(listed.map((state) => [state.type, state]));
  const names = [...new Set([...known.keys(), ...dead.keys()])].sort();
  const types = names.map((type): TypeStats => {
    const state = known.get(type);
    const dueMs = state?.nextDueAt ? read.at.getTime() - state.nextDueAt.getTime() : -1;
    return { type, pending: state?.pending ?? 0, running: state?.running ?? 0, dead: dead.get(type) ?? 0, oldestDueMs: dueMs >= 0 ? dueMs : null, nextDueAt: state?.nextDueAt ?? null, pausedAt: state?.pausedAt ?? null };
  });
  return { read, types };
}

async function showOnce(context: CommandContext, database: Database, flags: StatsFlags): Promise<void> {
  const { io } = context;
  const { asDocument, asRows, forPeople } = await import("./stats/show.ts");
  const { read, types } = await look(database, null, Math.max(flags.maxDead ?? 0, flags.maxPending ?? 0));
  const over = overThresholds(read, flags);
  if (flags.json === true) await printValue(io, { ...asDocument(read, types), over }, { json: true, ndjson: false });
  else if (io.stdoutIsTty) await write(io.stdout, `${forPeople(read, types, io.columns).join("\n")}\n`);
  else await printRows(io, asRows(read, types), { json: false, ndjson: false }, ["figure", "of", "value"]);
  for (const sentence of over) await note(io, {}, sentence);
  context.exitWith(over.length > 0 ? exitCodes.checkFailed : exitCodes.ok);
}

/** One sentence for each threshold that is passed. */
function overThresholds({ statuses, oldestDue, workers }: Stats, { maxDead, maxPending, maxOldestDue, minWorkers }: StatsFlags): string[] {
  const [dead, pending] = [statuses.error.count, statuses.pending.count];
  const oldestMs = oldestDue?.ageMs ?? 0;
  return [
    ...(maxDead !== undefined && dead > maxDead ? [`${dead} dead letters, more than ${maxDead}. Next: npm run app:cli errors`] : []),
    ...(maxPending !== undefined && pending > maxPending ? [`${pending} pending, more than ${maxPending}. Next: npm run app:cli doctor`] : []),
    ...(maxOldestDue !== undefined && oldestMs > maxOldestDue ? [`A job of ${visible(oldestDue?.type ?? "")} has been due for ${Math.round(oldestMs / 1000)} s, longer than ${maxOldestDue / 1000} s. Next: npm run app:cli doctor`] : []),
    ...(minWorkers !== undefined && workers.alive < minWorkers ? [`${workers.alive} workers alive, fewer than ${minWorkers}. Next: npm run app:cli workers`] : []),
  ];
}

/** Until the first signal. On a terminal each look is drawn over the one before; piped, it is a line of its own. */
async function watchStats({ io }: CommandContext, database: Database, flags: StatsFlags): Promise<void> {
  const [{ stopSignals }, { asDocument, asLine, forPeople, lineHeader }] = await Promise.all([import("./stop-signals.ts"), import("./stats/show.ts")]);
  const stop = stopSignals(() => undefined);
  const draws = io.stdoutIsTty && flags.json !== true;
  let drawn = 0;
  let since: Date | null = null;
  try {
    if (draws) await write(io.stdout, "\u001b[?25l"); // no cursor that runs about
    else if (flags.json !== true) await write(io.stdout, `${lineHeader.join("\t")}\n`);
    while (!stop.signal.aborted) {
      const { read, types } = await look(database, since, 0);
      since = read.at;
      if (draws) drawn = await redraw(io, forPeople(read, types, io.columns), drawn);
      else if (flags.json === true) await printValue(io, asDocument(read, types), { json: false, ndjson: true });
      else await write(io.stdout, `${asLine(read).join("\t")}\n`);
      await sleep(flags.interval, undefined, { signal: stop.signal }).catch(() => undefined); // the end of the loop
    }
  } finally {
    if (draws) await write(io.stdout, "\u001b[?25h");
    stop.release();
  }
}

/** Writes over what was drawn before, each line to its end, in one piece: nothing flickers. Gives back how many lines there are now. */
async function redraw(io: CommandIo, lines: readonly string[], drawn: number): Promise<number> {
  // More lines than the terminal has would scroll away what the cursor is to come back to.
  const height = "rows" in io.stdout && typeof io.stdout.rows === "number" && io.stdout.rows > 1 ? io.stdout.rows - 1 : 24;
  const shown = lines.slice(0, height);
  const back = drawn > 0 ? `\u001b[${drawn}A` : "";
  await write(io.stdout, `${back}${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`);
  return shown.length;
}
