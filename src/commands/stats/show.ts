// How stats look: a screen for people, rows for programs, a line for a log, a document.

import type { Count, Stats } from "../../outbox/inspect-stats.ts";
import { deadCountedUpTo } from "../../outbox/inspect-stats.ts";
import { maxCounted } from "../../outbox/inspect-types.ts";
import { cut, visible } from "../../service/visible.ts";
import type { OutputRow } from "../output.ts";
import { tableLines } from "../output/table.ts";

export interface TypeStats {
  readonly type: string;
  /** 10,000 means so many or more. */
  readonly pending: number;
  readonly running: number;
  /** 10,000 means so many or more. */
  readonly dead: number;
  readonly oldestDueMs: number | null;
  readonly nextDueAt: Date | null;
  readonly pausedAt: Date | null;
}

const counted = ({ count, estimated }: Count) => `${estimated ? "~" : ""}${count}`;
const upTo = (count: number, bound: number) => (count < bound ? String(count) : `${bound}+`);
const perSecond = (count: number, overMs: number) => Math.round((count / overMs) * 10_000) / 10;

function rates({ throughput: { overMs, done, failed } }: Stats): { donePerSecond: number; failedPerSecond: number } {
  return { donePerSecond: perSecond(done, overMs), failedPerSecond: perSecond(failed, overMs) };
}

/** The screen, in lines no longer than the terminal is wide. */
export function forPeople(stats: Stats, types: readonly TypeStats[], columns: number): string[] {
  const { statuses, due, oldestDue, nextDueAt, workers, throughput, at } = stats;
  const { donePerSecond, failedPerSecond } = rates(stats);
  const over = throughput.overMs >= 60_000 ? "over the last minute" : `over ${(throughput.overMs / 1000).toFixed(1)} s`;
  const head: [string, string][] = [
    ["at", at.toISOString()],
    ["pending", `${counted(statuses.pending)}, of which ${counted(due)} due`],
    ["running", counted(statuses.processing)],
    ["waiting", `${counted(statuses.waiting)} for their turn`],
    ["dead letters", counted(statuses.error)],
    ["done", `${counted(statuses.done)}; cancelled ${counted(statuses.cancelled)}`],
    ["throughput", `${throughput.estimated ? "~" : ""}${donePerSecond} done/s, ${failedPerSecond} failed/s ${over}`],
    ["oldest due", oldestDue === null ? (nextDueAt === null ? "none" : `none; the next is due at ${nextDueAt.toISOString()}`) : `${visible(oldestDue.type)}, for ${Math.round(oldestDue.ageMs / 1000)} s`],
    ["workers", `${workers.alive} alive${workers.silent > 0 ? `, ${workers.silent} silent` : ""}`],
  ];
  const width = columns > 0 ? columns : 80;
  const lines = head.map(([name, value]) => cut(`${name.padEnd(14)}${value}`, width));
  if (types.length === 0) return lines;
  const cells = (of: (each: TypeStats) => string) => types.map(of);
  const table = tableLines(
    [
      { name: "type", cells: cells(({ type }) => visible(type)), alignRight: false },
      { name: "pending", cells: cells(({ pending }) => upTo(pending, maxCounted)), alignRight: true },
      { name: "running", cells: cells(({ running }) => String(running)), alignRight: true },
      { name: "dead", cells: cells(({ dead }) => upTo(dead, deadCountedUpTo)), alignRight: true },
      { name: "oldest due", cells: cells(({ oldestDueMs }) => (oldestDueMs === null ? "" : `${Math.round(oldestDueMs / 1000)} s`)), alignRight: true },
      { name: "paused", cells: cells(({ pausedAt }) => (pausedAt === null ? "" : "paused")), alignRight: false },
    ],
    width,
  );
  return [...lines, "", ...table.lines];
}

/** For cut, awk and a spreadsheet: one figure a line. Times are seconds. */
export function asRows(stats: Stats, types: readonly TypeStats[]): OutputRow[] {
  const { donePerSecond, failedPerSecond } = rates(stats);
  return [
    ...Object.entries(stats.statuses).map(([status, count]) => ({ figure: "jobs", of: status, value: counted(count) })),
    { figure: "due", of: "", value: counted(stats.due) },
    { figure: "oldest due", of: stats.oldestDue?.type ?? "", value: stats.oldestDue === null ? "" : String(stats.oldestDue.ageMs / 1000) },
    { figure: "next due", of: "", value: stats.nextDueAt },
    { figure: "done/s", of: "", value: `${stats.throughput.estimated ? "~" : ""}${donePerSecond}` },
    { figure: "failed/s", of: "", value: String(failedPerSecond) },
    { figure: "workers", of: "alive", value: String(stats.workers.alive) },
    { figure: "workers", of: "silent", value: String(stats.workers.silent) },
    ...types.flatMap(({ type, pending, running, dead, oldestDueMs }) => [
      { figure: "pending", of: type, value: upTo(pending, maxCounted) },
      { figure: "running", of: type, value: String(running) },
      { figure: "dead", of: type, value: upTo(dead, deadCountedUpTo) },
      ...(oldestDueMs === null ? [] : [{ figure: "oldest due", of: type, value: String(oldestDueMs / 1000) }]),
    ]),
  ];
}

export function asDocument(stats: Stats, types: readonly TypeStats[]): OutputRow {
  return { ...stats, throughput: { ...stats.throughput, ...rates(stats) }, types };
}

export const lineHeader = ["at", "pending", "due", "running", "waiting", "dead", "done/s", "failed/s", "oldest due s", "workers"];

export function asLine(stats: Stats): string[] {
  const { donePerSecond, failedPerSecond } = rates(stats);
  const { pending, processing, waiting, error } = stats.statuses;
  return [
    ...[stats.at.toISOString(), counted(pending), counted(stats.due), counted(processing), counted(waiting), counted(error)],
    ...[`${stats.throughput.estimated ? "~" : ""}${donePerSecond}`, String(failedPerSecond), String((stats.oldestDue?.ageMs ?? 0) / 1000), String(stats.workers.alive)],
  ];
}
