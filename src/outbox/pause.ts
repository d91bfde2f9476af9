// What people do to a type: hold it back and let it go again. Each is written into the ledger of actions.

import type { ActorOptions } from "./actor.ts";
import { by } from "./actor.ts";
import type { Sql } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import type { Pause } from "./store/pauses.ts";
import * as store from "./store/pauses.ts";
import { text } from "./text.ts";

/** The end of the year 9999, which Postgres and JSON write alike. As a duration it is some 8,000 years. */
const latestMs = Date.UTC(9999, 11, 31);

export type ResumeOptions = ActorOptions;

export interface PauseOptions extends ActorOptions {
  /** When it ends by itself: an instant, or a time from now. Default: when somebody resumes the type. */
  readonly until?: Date | Duration;
}

/** No claim that begins after this takes a job of the type. What runs goes on; what is pending stays pending. */
export async function pauseType(sql: Sql, type: string, { until, actor, reason }: PauseOptions = {}): Promise<Pause> {
  const paused = await store.pauseType(sql, { type: checkType(type), until: untilOf(type, until), ...by({ actor, reason }) });
  if (paused !== null) return paused;
  throw new OutboxError("INVALID_OPTION", `Expected until of the pause of "${type}" to be in the future by the database's clock, got ${until instanceof Date ? until.toISOString() : String(until)}.`);
}

/** Ends the pause. False: the type was not paused, and nothing was changed. */
export async function resumeType(sql: Sql, type: string, options: ResumeOptions = {}): Promise<boolean> {
  return store.resumeType(sql, { type: checkType(type), ...by(options) });
}

function untilOf(type: string, until: PauseOptions["until"]): Date | number | null {
  if (until === undefined) return null;
  const value = until instanceof Date ? until.getTime() : durationMs(until, `until of the pause of "${type}"`);
  if (value >= 0 && value <= latestMs) return until instanceof Date ? until : value; // false for an invalid Date
  throw new OutboxError("INVALID_OPTION", `Expected until of the pause of "${type}" to be a valid Date before the year 10000 or a duration such as "2h", got ${shown(until)}.`);
}

function checkType(type: string): string {
  return text("type", type, 200);
}
