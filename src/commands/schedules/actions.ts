// schedules:list, schedules:run, schedules:pause, schedules:resume at work. What they call stands in outbox/schedule-actions.ts.

import type { Database } from "../../outbox/database.ts";
import { OutboxError } from "../../outbox/errors.ts";
import { declareSchedules } from "../../outbox/fire.ts";
import { listSchedules } from "../../outbox/inspect-schedules.ts";
import type { ListedSchedule } from "../../outbox/inspect-schedules.ts";
import { pauseSchedule, resumeSchedule, runSchedule } from "../../outbox/schedule-actions.ts";
import type { Schedule } from "../../outbox/schedule.ts";
import { readClock } from "../../outbox/store/schedule-actions.ts";
import { compileSchedules } from "../../service/schedules.ts";
import { visible } from "../../service/visible.ts";
import { quoted } from "../../outbox/shell.ts";
import type { CommandContext } from "../context.ts";
import { closest } from "../db-outbox/refuse.ts";
import { note, printRows, printValue } from "../output.ts";
import { withService } from "../with-service.ts";

export interface ActionFlags {
  readonly dryRun?: boolean;
  readonly reason?: string;
  readonly json?: boolean;
}

/** The schedules of the table, and those of outbox.config.ts. */
interface Known {
  readonly database: Database;
  readonly listed: readonly ListedSchedule[];
  readonly own: readonly Schedule[];
}

export const listAll = (context: CommandContext, format: { json: boolean; ndjson: boolean }) => withSchedules(context, (known) => list(context, known, format));
export const runNow = (context: CommandContext, name: string, flags: ActionFlags) => withSchedules(context, (known) => enqueueOne(context, known, name, flags));
export const setPaused = (context: CommandContext, name: string, flags: ActionFlags, pause: boolean) => withSchedules(context, (known) => change(context, known, name, flags, pause));

async function withSchedules(context: CommandContext, work: (known: Known) => Promise<void>): Promise<void> {
  // Before a database is opened, so that a mistake in one costs nothing.
  const own = await compileSchedules((await context.settings()).schedules);
  await withService(context, async ({ database }) => work({ database, listed: await listSchedules(database), own }));
}

async function list({ io }: CommandContext, { database, listed, own }: Known, format: { json: boolean; ndjson: boolean }): Promise<void> {
  const names = new Set(listed.map(({ name }) => name));
  const unseen = own.filter(({ name }) => !names.has(name));
  const now = unseen.length === 0 ? null : await readClock(database);
  const rows = [
    ...listed.map(({ nextSlotAt, lastSlotAt, pausedAt, pausedBy, pauseReason, ...row }) => ({ ...row, next: nextSlotAt, last: lastSlotAt, paused: pausedAt, pausedBy, pauseReason })),
    ...unseen.map(({ name, type, cron, timeZone, missed, nextAfter }) => ({ name, type, cron, timeZone, missed, next: now && nextAfter(now), last: null, paused: null, pausedBy: null, pauseReason: null })),
  ];
  rows.sort((a, b) => (a.name < b.name ? -1 : 1));
  await printRows(io, rows, format, ["name", "type", "cron", "timeZone", "next", "last", "paused"]);
  for (const { name } of unseen) await note(io, {}, `"${visible(name)}" begins with the next drain or worker.`);
  for (const { name } of listed) {
    if (!own.some((schedule) => schedule.name === name)) await note(io, {}, `"${visible(name)}" is not in outbox.config.ts: another program fires it, or nobody does.`);
  }
}

async function enqueueOne({ io }: CommandContext, known: Known, name: string, { dryRun = false, reason, json = false }: ActionFlags): Promise<void> {
  checkName(known, name);
  const schedule = known.own.find((each) => each.name === name);
  if (schedule === undefined) throw new OutboxError("NOT_FOUND", `Expected a schedule of outbox.config.ts, got "${visible(name)}": only the program that declares it knows what its jobs are. Run it there.`);
  if (dryRun) {
    await printValue(io, json ? { dryRun, schedule: name, type: schedule.type } : 1, { json, ndjson: false });
    return note(io, {}, `Dry run, nothing was changed. Would enqueue one job of type "${visible(schedule.type)}".`);
  }
  const { id, deduplicated } = await runSchedule(known.database, schedule, { actor: io.actor, reason: reason ?? null });
  await printValue(io, json ? { dryRun, schedule: name, type: schedule.type, id, deduplicated } : id, { json, ndjson: false });
  await note(io, {}, deduplicated ? "Nothing was enqueued: this job holds the dedupe key." : "Enqueued one job. Next: npm run app:cli jobs:drain");
}

async function change({ io }: CommandContext, known: Known, name: string, { dryRun = false, reason, json = false }: ActionFlags, pause: boolean): Promise<void> {
  checkName(known, name);
  const { database, own, listed } = known;
  const row = listed.find((each) => each.name === name);
  const differs = ((row?.pausedAt ?? null) === null) === pause;
  // No program has looked at it yet.
  if (row === undefined && !dryRun) await declareSchedules(database, own.filter((each) => each.name === name));
  const by = { actor: io.actor, reason: reason ?? null };
  const changed = dryRun ? differs : await (pause ? pauseSchedule : resumeSchedule)(database, name, by);
  await printValue(io, json ? { dryRun, schedule: name, changed } : Number(changed), { json, ndjson: false });
  if (dryRun) return note(io, {}, `Dry run, nothing was changed. ${changed ? `Would ${pause ? "pause" : "resume"} it.` : `It is ${pause ? "paused already" : "not paused"}.`}`);
  if (!changed) return note(io, {}, `Nothing was changed: it is ${pause ? "paused already" : "not paused"}.`);
  await note(io, {}, pause ? `Paused. Next: npm run app:cli schedules:resume ${quoted(visible(name))}` : "Resumed; the slots of the pause stay unfired. Next: npm run app:cli schedules:list");
}

function checkName({ listed, own }: Known, name: string): void {
  const names = [...new Set([...listed, ...own].map((each) => each.name))];
  if (names.includes(name)) return;
  const guess = closest(name, names);
  const hint = guess === null ? "" : ` Did you mean "${visible(guess)}"?`;
  throw new OutboxError("NOT_FOUND", `There is no schedule named "${visible(name)}".${hint} Known: ${names.length === 0 ? "none" : names.map(visible).join(", ")}.`);
}
