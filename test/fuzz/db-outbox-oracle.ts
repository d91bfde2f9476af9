// By plain JavaScript: whether a job fulfils a `where` of db outbox. As in SQL a condition may also be neither true nor
// false (null), where the job has no value; then NOT of it is no more true than it was.

import type { Known } from "./filter-oracle.ts";

export type Truth = boolean | null;
type Where = Readonly<Record<string, unknown>>;

const not = (truth: Truth): Truth => (truth === null ? null : !truth);
const and = (truths: readonly Truth[]): Truth => (truths.includes(false) ? false : truths.includes(null) ? null : true);
const or = (truths: readonly Truth[]): Truth => not(and(truths.map(not)));
const listOf = (value: unknown): readonly Where[] => (Array.isArray(value) ? (value as Where[]) : [value as Where]);

/** What Prisma's names are in the table of known jobs. */
const columns: Readonly<Record<string, keyof Known>> = { id: "id", type: "type", status: "status", owner: "owner", attempts: "attempts", lastError: "last_error" };

export function fulfils(job: Known, where: Where): Truth {
  return and(
    Object.entries(where).map(([name, condition]): Truth => {
      if (name === "AND") return and(listOf(condition).map((each) => fulfils(job, each)));
      if (name === "OR") return or(listOf(condition).map((each) => fulfils(job, each)));
      if (name === "NOT") return and(listOf(condition).map((each) => not(fulfils(job, each))));
      if (name === "payload") return ofPayload(job.payload, condition as Where);
      const column = columns[name];
      if (column === undefined) throw new Error(`the oracle does not know ${name}`);
      return ofValue(job[column] as string | number | null, condition);
    }),
  );
}

function ofValue(value: string | number | null, condition: unknown): Truth {
  if (condition === null) return value === null;
  if (typeof condition !== "object") return value === null ? null : value === condition;
  const { mode, ...operators } = condition as Where;
  const folded = (given: unknown) => (mode === "insensitive" && typeof given === "string" ? given.toLowerCase() : given);
  return and(Object.entries(operators).map(([operator, given]) => compared(folded(value) as typeof value, operator, given, folded)));
}

function compared(value: string | number | null, operator: string, given: unknown, folded: (given: unknown) => unknown): Truth {
  if (operator === "not" && typeof given === "object" && given !== null) return not(ofValue(value, given));
  if (operator === "equals" && given === null) return value === null;
  if (operator === "not" && given === null) return value !== null;
  if (value === null) return null;
  const one = folded(given);
  switch (operator) {
    case "equals":
      return value === one;
    case "not":
      return value !== one;
    case "in":
      return (given as unknown[]).map(folded).includes(value);
    case "notIn":
      return !(given as unknown[]).map(folded).includes(value);
    case "lt":
      return (value as number) < (one as number);
    case "lte":
      return (value as number) <= (one as number);
    case "gt":
      return (value as number) > (one as number);
    case "gte":
      return (value as number) >= (one as number);
    case "contains":
      return String(value).includes(one as string);
    case "startsWith":
      return String(value).startsWith(one as string);
    case "endsWith":
      return String(value).endsWith(one as string);
    default:
      throw new Error(`the oracle does not know ${operator}`);
  }
}

function ofPayload(payload: unknown, { path = [], ...operators }: Where): Truth {
  const value = (path as string[]).reduce<unknown>((inner, step) => {
    if (typeof inner !== "object" || inner === null) return undefined;
    if (Array.isArray(inner)) return /^\d+$/.test(step) ? (inner as unknown[])[Number(step)] : undefined;
    return Object.hasOwn(inner, step) ? (inner as Record<string, unknown>)[step] : undefined;
  }, payload);
  return and(
    Object.entries(operators).map(([operator, given]): Truth => {
      if (value === undefined) return null; // nothing is there: neither equal nor different
      if (operator === "equals") return sameJson(value, given);
      if (operator === "array_contains") return Array.isArray(value) && (given as unknown[]).every((each) => (value as unknown[]).some((item) => sameJson(item, each)));
      if (typeof value !== "string") return false;
      return compared(value, { string_contains: "contains", string_starts_with: "startsWith", string_ends_with: "endsWith" }[operator] ?? operator, given, (text) => text);
    }),
  );
}

function sameJson(one: unknown, other: unknown): boolean {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return one === other;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => Object.hasOwn(other, name) && sameJson((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name]));
}
