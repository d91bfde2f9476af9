// When an alert is raised, as it is configured. Next: store/alerts.ts (how that is measured), alerts.ts (who is told).

import { createHash } from "node:crypto";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, shown } from "./errors.ts";
import { shownDuration } from "./retention.ts";

interface Narrowing {
  /** Only jobs of these types. */
  readonly types?: readonly string[];
  /** Jobs of any type but these. */
  readonly except?: readonly string[];
}

export interface DeadLettersRule extends Narrowing {
  /** So many dead letters, or more. */
  readonly atLeast: number;
  /** Counts those that died within this time. Default: all that there are. */
  readonly within?: Duration;
}

export interface AgeRule extends Narrowing {
  readonly after: Duration;
}

export interface AlertThresholds {
  /** Dead letters: `10` is `{ atLeast: 10 }`. A list has several rules. */
  readonly deadLetters?: number | DeadLettersRule | readonly DeadLettersRule[];
  /** A job has been due for so long and has not begun: `"15m"` is `{ after: "15m" }`. Types that somebody has paused do not count. */
  readonly oldestDue?: Duration | AgeRule | readonly AgeRule[];
  /** A job has been processing for so long, with no word from its handler. */
  readonly stuck?: Duration | AgeRule | readonly AgeRule[];
  /** An alert that lasts is told again after so long; `false`: never. Default: "6h". */
  readonly repeat?: Duration | false;
}

export type AlertKind = "deadLetters" | "oldestDue" | "stuck";

/** One threshold, checked. */
export interface AlertRule {
  /** Which alert it is, for ever: `deadLetters`, or `deadLetters of email.send within 1h`. */
  readonly name: string;
  readonly kind: AlertKind;
  /** Dead letters, or milliseconds. */
  readonly threshold: number;
  readonly withinMs: number | null;
  readonly types: readonly string[] | null;
  readonly except: readonly string[];
}

const keys = ["deadLetters", "oldestDue", "stuck"] as const satisfies AlertKind[];
const defaultRepeatMs = 6 * 3_600_000;
const dayMs = 86_400_000;
const maxNameLength = 200;
/** Each check counts so far, at most. */
const mostDeadLetters = 10_000;

/** Checks the thresholds among what was configured under `alerts`. */
export function alertRules(alerts: object): { rules: AlertRule[]; repeatMs: number | null } {
  const given = alerts as Readonly<Record<string, unknown>>; // its values are checked here
  const rules = keys.flatMap((kind) => (given[kind] === undefined ? [] : rulesOf(kind, given[kind])));
  if (rules.length === 0) throw refused("alerts", `to have a threshold such as { deadLetters: 10, oldestDue: "15m", stuck: "10m" }`, alerts);
  for (const [index, { name, kind }] of rules.entries()) {
    if (rules.findIndex((other) => other.name === name) < index) throw new OutboxError("CONFIGURATION", `Expected the rules of alerts.${kind} to differ in what they count, got two of ${name}.`);
  }
  const { repeat } = given;
  return { rules, repeatMs: repeat === undefined ? defaultRepeatMs : repeat === false ? null : time("alerts.repeat", repeat, { from: 300_000, to: 30 * dayMs }, "6h", ", or false to tell once") };
}

function rulesOf(kind: AlertKind, given: unknown): AlertRule[] {
  if (!Array.isArray(given)) return [ruleOf(kind, `alerts.${kind}`, given)];
  if (given.length === 0) throw refused(`alerts.${kind}`, "to have at least one rule", given);
  return Array.from(given, (each, index) => ruleOf(kind, `alerts.${kind}[${index}]`, each));
}

function ruleOf(kind: AlertKind, path: string, given: unknown): AlertRule {
  const short = typeof given === "number" || typeof given === "string";
  const main = kind === "deadLetters" ? "atLeast" : "after";
  const example = kind === "deadLetters" ? "10 or { atLeast: 10 }" : `"15m" or { after: "15m" }`;
  if (!short && (typeof given !== "object" || given === null)) throw refused(path, `to be ${example}`, given);
  const fields = (short ? { [main]: given } : given) as Readonly<Record<string, unknown>>; // its values are checked below
  const known = kind === "deadLetters" ? ["atLeast", "within", "types", "except"] : ["after", "types", "except"];
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown !== undefined) throw refused(path, `to have ${known.join(", ")}`, unknown);
  if (fields.types !== undefined && fields.except !== undefined) throw refused(path, "to have either types or except", "both");
  const where = short ? path : `${path}.${main}`;
  const types = fields.types === undefined ? null : typeNames(`${path}.types`, fields.types);
  const except = fields.except === undefined ? [] : typeNames(`${path}.except`, fields.except);
  const withinMs = fields.within === undefined ? null : time(`${path}.within`, fields.within, { from: 60_000, to: 365 * dayMs }, "1h");
  const threshold = kind === "deadLetters" ? count(where, fields.atLeast) : time(where, fields.after, { from: 10_000, to: 365 * dayMs }, "15m");
  return { name: nameOf(kind, { types, except, withinMs }), kind, threshold, withinMs, types, except };
}

/** Without the threshold: with another one it is still the same alert. */
function nameOf(kind: AlertKind, { types, except, withinMs }: Pick<AlertRule, "types" | "except" | "withinMs">): string {
  const narrowed = [types === null ? "" : ` of ${types.join(", ")}`, except.length === 0 ? "" : ` but for ${except.join(", ")}`, withinMs === null ? "" : ` within ${shownDuration(withinMs)}`].join("");
  const name = `${kind}${narrowed}`;
  if (name.length <= maxNameLength) return name;
  return `${name.slice(0, maxNameLength - 14)}… ${createHash("sha256").update(name).digest("hex").slice(0, 12)}`;
}

function count(path: string, given: unknown): number {
  if (typeof given === "number" && Number.isInteger(given) && given >= 1 && given <= mostDeadLetters) return given;
  throw refused(path, `to be a whole number from 1 to ${mostDeadLetters}`, given);
}

function time(path: string, given: unknown, { from, to }: { from: number; to: number }, example: string, more = ""): number {
  const ms = typeof given === "number" || typeof given === "string" ? parsed(given) : Number.NaN;
  if (ms >= from && ms <= to) return ms;
  throw refused(path, `to be a duration from "${shownDuration(from)}" to "${shownDuration(to)}", such as "${example}"${more}`, given, typeof given === "number" ? " A number is milliseconds." : "");
}

function parsed(given: number | string): number {
  try {
    return durationMs(given, "alerts");
  } catch {
    return Number.NaN; // said by the caller, with what is allowed there
  }
}

function typeNames(path: string, given: unknown): string[] {
  const good = (type: unknown): type is string => typeof type === "string" && type.length >= 1 && type.length <= 200;
  if (Array.isArray(given) && given.length > 0 && Array.from<unknown>(given).every(good)) return [...new Set(given as string[])].sort(); // just checked
  throw refused(path, `to be a list of job types such as ["email.send"]`, given);
}

function refused(path: string, expected: string, given: unknown, hint = ""): OutboxError {
  return new OutboxError("CONFIGURATION", `Expected ${path} ${expected}, got ${given === undefined ? "nothing" : shown(given)}.${hint}`);
}
