// What a schedule is: a cron expression in a time zone, and the job that each of its slots makes. Declared by
// defineSchedule, compiled by service/schedules.ts (which has the cron library). Next: slots.ts, fire.ts.

import type { Contract } from "./define.ts";
import type { EnqueueOptions, JobRequest } from "./enqueue.ts";
import { OutboxError, shown } from "./errors.ts";
import { toJson } from "./payload.ts";
import { checkPayload } from "./schema.ts";
import type { Missed, Timing } from "./slots.ts";
import { missedPolicies } from "./slots.ts";

export interface ScheduleDefinition<Input, Output> {
  /** 1 to 200 characters. What has been fired is remembered by it, so it never changes: another name is another schedule. */
  name: string;
  /**
   * Five fields (minute, hour, day of month, month, day of week), six with seconds before them, or seven with a year
   * after them; or @hourly, @daily, @weekly, @monthly, @yearly.
   */
  cron: string;
  /** An IANA name such as "Europe/Berlin". Default: "UTC". */
  timeZone?: string;
  /**
   * Which slots are fired that nobody fired in time, because no worker or drain ran. "last" (default): of all that have
   * come only the newest, however late. "none": the same, unless it is over 10 minutes late. "all": every one, oldest
   * first, of the newest 1000.
   */
  missed?: Missed;
  contract: Contract<Input, Output>;
  /** What the handler is given; or a function that makes it of the slot's time. */
  payload: NoInfer<Input> | ((slotAt: Date) => NoInfer<Input>);
  /** As for `enqueue`. A job is due when its slot is fired, or after `delay`. */
  options?: Omit<EnqueueOptions, "runAt">;
}

/** A schedule as it was declared: it does not know yet when its slots are. */
export interface ScheduleDeclaration {
  readonly name: string;
  /** Of the jobs it makes. */
  readonly type: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly missed: Missed;
  /** The job of one slot. */
  request(slotAt: Date): JobRequest;
}

/** One that knows: what service/schedules.ts makes of a declaration. */
export interface Schedule extends ScheduleDeclaration, Timing {}

/** Declares a recurring job. Safe to import anywhere: it loads neither a handler nor the cron library. */
export function defineSchedule<Input, Output>(definition: ScheduleDefinition<Input, Output>): ScheduleDeclaration {
  const { name, cron, timeZone = "UTC", missed = "last", contract, payload, options = {} } = definition;
  if (typeof name !== "string" || !/^\P{Cc}{1,200}$/u.test(name) || !name.isWellFormed()) {
    throw new OutboxError("INVALID_OPTION", `Expected a schedule's name to have 1 to 200 characters, none of them a control character, got ${shown(name)}.`);
  }
  if (typeof cron !== "string" || cron.trim() === "") {
    throw new OutboxError("INVALID_OPTION", `Expected cron of the schedule "${name}" to be a cron expression such as "0 7 * * *", got ${shown(cron)}.`);
  }
  if (!missedPolicies.includes(missed)) {
    throw new OutboxError("INVALID_OPTION", `Expected missed of the schedule "${name}" to be "none", "last" or "all", got ${shown(missed)}.`);
  }
  checkTimeZone(name, timeZone);
  if ("runAt" in options) {
    throw new OutboxError("INVALID_OPTION", `Expected options of the schedule "${name}" without runAt: a slot's job is due when the slot is fired. For later there is delay.`);
  }
  const { type } = contract;
  // A payload is JSON, so what can be called makes one. Anything else is known now: refused now rather than at the first slot.
  if (typeof payload === "function") {
    const payloadOf = payload as (slotAt: Date) => Input;
    return { name, type, cron, timeZone, missed, request: (slotAt) => contract.job(payloadOf(slotAt), options) };
  }
  checkPayload(contract, payload);
  toJson(type, payload);
  return { name, type, cron, timeZone, missed, request: () => contract.job(payload, options) };
}

function checkTimeZone(name: string, timeZone: unknown): void {
  if (typeof timeZone === "string" && isTimeZone(timeZone)) return;
  const city = typeof timeZone === "string" ? timeZone.toLowerCase().split("/").at(-1) : undefined;
  const guess = Intl.supportedValuesOf("timeZone").find((zone) => zone.toLowerCase().split("/").at(-1) === city);
  throw new OutboxError(
    "INVALID_OPTION",
    `Expected timeZone of the schedule "${name}" to be an IANA name such as "Europe/Berlin" or "UTC", got ${shown(timeZone)}.${guess === undefined ? "" : ` Did you mean "${guess}"?`}`,
  );
}

/** An offset such as "+02:00" is none, although newer versions of Node take it for one. */
function isTimeZone(timeZone: string): boolean {
  if (!/^[A-Za-z]/.test(timeZone)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
