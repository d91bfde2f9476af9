// Dead letters that are redriven by themselves, as `redrive` of the configuration says: each when it has been dead for so
// long. Called by every drain as it begins and by every worker about once a minute. Next: store/redrive-policy.ts.

import type { Database, Sql } from "./database.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import type { Emit } from "./events.ts";
import { shownDuration } from "./retention.ts";
import * as store from "./store/redrive-policy.ts";

export interface RedriveRule {
  /** When a job has been dead for so long. */
  readonly after: Duration;
  /** Times one job is redriven so, at most. What people retry does not count. Default: 1. */
  readonly atMost?: number;
  /** Only when its last failure was of one of these classes, such as "TimeoutError" or "NetworkError". Default: whatever it was. */
  readonly only?: readonly string[];
  /** Attempts that it gets each time. Default: 1. */
  readonly attempts?: number;
}

/** By job type. */
export type Redrive = Readonly<Record<string, RedriveRule>>;

/** One rule, checked. */
export interface RedrivePolicy {
  readonly type: string;
  readonly afterMs: number;
  readonly atMost: number;
  readonly only: readonly string[] | null;
  readonly attempts: number;
}

const rowsPerBatch = 100;
const batchesPerPass = 10;
const keys = ["after", "atMost", "only", "attempts"];
/** A death is committed a moment after it is dated. Nobody may look past that moment before. */
const leastAfterMs = 60_000;
const mostAfterMs = 30 * 86_400_000;

/** Redrives the dead letters whose time has come. Gives back whether there may be more, which the next pass takes. */
export async function redriveByPolicy(database: Database, policies: readonly RedrivePolicy[], emit: Emit, signal?: AbortSignal): Promise<{ more: boolean }> {
  let more = false;
  for (const policy of policies) {
    let count = 0;
    try {
      for (let batch = 0; signal?.aborted !== true; batch += 1) {
        const done = await database.transaction((tx) => redriveBatch(tx, policy));
        count += done.count;
        if (!done.more) break;
        if (batch + 1 === batchesPerPass) {
          more = true;
          break;
        }
      }
    } finally {
      if (count > 0) emit({ event: "jobs_redriven", type: policy.type, count });
    }
  }
  return { more };
}

async function redriveBatch(tx: Sql, policy: RedrivePolicy): Promise<{ count: number; more: boolean }> {
  const from = await store.takeTurn(tx, policy);
  if (from === null) return { count: 0, more: false }; // another worker is at it
  const seen = await store.lockDead(tx, policy, from, rowsPerBatch);
  await store.reopen(tx, policy, seen.jobs);
  if (seen.upTo !== null) await store.endTurn(tx, policy.type, seen.upTo);
  return { count: seen.jobs.length, more: seen.more };
}

/** Checks what was configured under `redrive`. */
export function redrivePolicies(redrive: unknown): RedrivePolicy[] {
  if (typeof redrive !== "object" || redrive === null || Array.isArray(redrive)) throw refused("redrive", `to be rules by job type such as { "webhook.send": { after: "1h", atMost: 3 } }`, redrive);
  return Object.entries(redrive).map(([type, rule]: [string, unknown]) => policyOf(type, rule));
}

function policyOf(type: string, rule: unknown): RedrivePolicy {
  const path = `redrive[${JSON.stringify(type)}]`;
  if (type.length < 1 || type.length > 200) throw refused(path, "to have a job type of 1 to 200 characters", type);
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) throw refused(path, `to be a rule such as { after: "1h", atMost: 3 }`, rule);
  const unknown = Object.keys(rule).find((name) => !keys.includes(name));
  if (unknown !== undefined) throw refused(path, `to have ${keys.join(", ")}`, unknown);
  const { after, atMost = 1, only, attempts = 1 } = rule as Readonly<Record<string, unknown>>; // checked below
  return { type, afterMs: waitOf(`${path}.after`, after), atMost: count(`${path}.atMost`, atMost), only: only === undefined ? null : classes(`${path}.only`, only), attempts: count(`${path}.attempts`, attempts) };
}

function waitOf(path: string, given: unknown): number {
  let ms = Number.NaN;
  try {
    if (typeof given === "string" || typeof given === "number") ms = durationMs(given, path);
  } catch {
    ms = Number.NaN; // said below, with what is allowed here
  }
  if (ms >= leastAfterMs && ms <= mostAfterMs) return ms;
  const hint = typeof given === "number" ? " A number is milliseconds." : "";
  throw refused(path, `to be a duration from "${shownDuration(leastAfterMs)}" to "${shownDuration(mostAfterMs)}", such as "1h"`, given, hint);
}

function count(path: string, given: unknown): number {
  if (typeof given === "number" && Number.isInteger(given) && given >= 1 && given <= 1000) return given;
  throw refused(path, "to be a whole number from 1 to 1000", given);
}

function classes(path: string, given: unknown): string[] {
  if (Array.isArray(given) && given.length > 0 && Array.from<unknown>(given).every((each) => typeof each === "string" && each !== "")) return given as string[]; // just checked
  throw refused(path, `to be a list of error classes such as ["TimeoutError"]`, given);
}

function refused(path: string, expected: string, given: unknown, hint = ""): OutboxError {
  return new OutboxError("CONFIGURATION", `Expected ${path} ${expected}, got ${given === undefined ? "nothing" : shown(given)}.${hint}`);
}
