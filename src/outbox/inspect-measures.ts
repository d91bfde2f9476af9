// The figures that monitoring keeps: how much there is of each type, and who looks after it. Asked for ever and ever, so
// each is bounded: what an index serves is counted up to a bound, and what is finished, which no index serves, is left out.

import type { Sql } from "./database.ts";
import { countDeadByType } from "./inspect-stats.ts";
import type { TypeState } from "./inspect-types.ts";
import { listTypes } from "./inspect-types.ts";

/** Waiting jobs are counted up to this number, all types together. */
const maxWaiting = 10_000;

export interface TypeMeasures {
  readonly type: string;
  /** 10,000 means so many or more, in each of these. */
  readonly waiting: number;
  readonly pending: number;
  readonly processing: number;
  /** Dead letters. */
  readonly error: number;
  /** How long its oldest due job has been due; 0: none is. */
  readonly oldestDueMs: number;
  readonly paused: boolean;
  readonly breaker: TypeState["breaker"];
  /** Whether a worker that is alive has a handler for it. */
  readonly handled: boolean;
}

export interface Measures {
  /** How long the database took to answer the simplest of questions. */
  readonly answeredInMs: number;
  /** Types with jobs that have not ended, dead letters, a pause, limits, or a worker that knows them. */
  readonly types: readonly TypeMeasures[];
  readonly workers: { readonly alive: number; readonly silent: number };
  /** Those that are not paused, with how long their next slot has been waiting to be fired; 0: it is yet to come. */
  readonly schedules: readonly { readonly name: string; readonly overdueMs: number }[];
}

export async function measure(sql: Sql): Promise<Measures> {
  const askedAt = performance.now();
  const [clock] = await sql.query("select clock_timestamp() as now");
  const answeredInMs = performance.now() - askedAt;
  const now = (clock?.now as Date).getTime(); // timestamptz
  const states = new Map((await listTypes(sql)).map((state) => [state.type, state]));
  const dead = await countDeadByType(sql);
  const waiting = await countWaitingByType(sql);
  const workers = await countWorkers(sql);
  const names = new Set([...states.keys(), ...dead.keys(), ...waiting.keys(), ...workers.types]);
  return {
    answeredInMs,
    types: [...names].sort().map((type): TypeMeasures => {
      const state = states.get(type);
      return {
        type,
        waiting: waiting.get(type) ?? 0,
        pending: state?.pending ?? 0,
        processing: state?.running ?? 0,
        error: dead.get(type) ?? 0,
        // pg gives infinity, which somebody may have written, as a number.
        oldestDueMs: state?.nextDueAt instanceof Date ? Math.max(0, now - state.nextDueAt.getTime()) : 0,
        paused: state !== undefined && state.pausedAt !== null,
        breaker: state?.breaker ?? "closed",
        handled: workers.types.has(type),
      };
    }),
    workers,
    schedules: await listOverdue(sql),
  };
}

/** Jobs behind others of their ordering key, by type; read through the index of those that wait. */
async function countWaitingByType(sql: Sql): Promise<Map<string, number>> {
  const rows = await sql.query(
    `select type, count(*)::int as jobs
     from (select type from outbox where status = 'waiting' limit ${maxWaiting}) as counted
     group by type`,
  );
  return new Map(rows.map((row) => [String(row.type), Number(row.jobs)]));
}

/** How many workers there are, and the types that the living ones know. */
async function countWorkers(sql: Sql): Promise<Measures["workers"] & { readonly types: ReadonlySet<string> }> {
  const rows = await sql.query("select types, beat_at >= clock_timestamp() - lease_ms * interval '1 millisecond' as alive from outbox_worker");
  const living = rows.filter((row) => row.alive === true);
  const types = living.flatMap((row) => (row.types ?? []) as string[]); // text[]
  return { alive: living.length, silent: rows.length - living.length, types: new Set(types) };
}

async function listOverdue(sql: Sql): Promise<Measures["schedules"]> {
  const rows = await sql.query(
    `select name, greatest(extract(epoch from clock_timestamp() - next_slot_at), 0)::float8 * 1000 as overdue_ms
     from outbox_schedule
     where paused_at is null and next_slot_at is not null
     order by name`,
  );
  return rows.map((row) => ({ name: String(row.name), overdueMs: Number(row.overdue_ms) }));
}
