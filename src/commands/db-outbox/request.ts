// A request: one of the operations, and for each the names it may hold. What is not listed here cannot be asked.
// Next: guards.ts (which mutations are let through), read.ts, mutate.ts.

import { aggregateNames, flags, parseAggregate, parseCount, parseHaving } from "./aggregates.ts";
import { parseChange } from "./change.ts";
import type { FieldName } from "./fields.ts";
import { fieldNames } from "./fields.ts";
import { groupOrder, oneOrMore, orderByField } from "./order.ts";
import { isKnown, refuse, refuseName } from "./refuse.ts";
import type { JsonObject } from "./values.ts";
import { expectEntries, expectKind, expectList, expectName, expectObject, expectWhole } from "./values.ts";
import { parseWhere } from "./where.ts";

export const reads = ["findMany", "findFirst", "findUnique", "count", "aggregate", "groupBy"] as const;
export const mutations = ["deleteMany", "updateMany"] as const;
export const operations = [...reads, ...mutations] as const;
type Operation = (typeof operations)[number];

export const maxTake = 10_000;
const maxSkip = 2_147_483_647;

type Rule = (value: unknown, path: string) => unknown;

const take: Rule = (value, path) => expectWhole(value, path, 1, maxTake);
const skip: Rule = (value, path) => expectWhole(value, path, 0, maxSkip);
const cursor: Rule = (value, path) => Object.fromEntries(expectEntries(value, path, "field", ["id"]).map(([name, id]) => [name, expectKind("uuid", id, `${path}.id`)]));
const select: Rule = (value, path) => flags(value, path, fieldNames);
const oneOrMoreFields: Rule = (value, path) => (typeof value === "string" ? [fieldName(value, path)] : expectList(value, path, fieldName));
const orderBy: Rule = (value, path) => oneOrMore(value, path, orderByField);
const page = { where: parseWhere, orderBy, cursor, take, skip };
const aggregates = {
  _count: parseCount,
  _sum: parseAggregate("_sum"),
  _avg: parseAggregate("_avg"),
  _min: parseAggregate("_min"),
  _max: parseAggregate("_max"),
};

const grammar: Record<Operation, Readonly<Record<string, Rule>>> = {
  findMany: { ...page, select, distinct: oneOrMoreFields },
  findFirst: { where: parseWhere, orderBy, cursor, skip, select },
  findUnique: { where: parseWhere, select },
  count: { ...page, select: parseCount },
  aggregate: { ...page, ...aggregates },
  // What of orderBy and having depends on `by` is checked when all of them are known, in checkGroups.
  groupBy: { by: oneOrMoreFields, where: parseWhere, orderBy: (value, path) => oneOrMore(value, path, groupOrder), having: (value) => value, take, skip, ...aggregates },
  deleteMany: { where: parseWhere },
  updateMany: { where: parseWhere, data: parseChange },
};

export interface Request {
  readonly operation: Operation;
  readonly args: JsonObject;
}

export function expectOperation(name: string): Operation {
  return isKnown(name, operations) ? name : refuseName("operation", "", name, operations);
}

/** Checks what was asked, down to the last value, before a database is opened. */
export function parseRequest(operation: Operation, input: unknown): Request {
  const rules = grammar[operation];
  const known = Object.keys(rules);
  const args: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(expectObject(input, "the argument"))) {
    const rule = isKnown(name, known) ? rules[name] : undefined;
    if (rule === undefined) return refuseName("name", operation, name, known);
    args[name] = rule(value, name);
  }
  const needed: Partial<Record<Operation, readonly string[]>> = { findUnique: ["where"], groupBy: ["by"], deleteMany: ["where"], updateMany: ["where", "data"] };
  for (const name of needed[operation] ?? []) if (!(name in args)) refuse(`Expected ${operation} to have "${name}", got none. ${examples[operation] ?? ""}`.trimEnd());
  if (operation === "findUnique" && typeof (args.where as JsonObject).id !== "string") refuse(`Expected where.id to be an id. ${examples.findUnique ?? ""}`);
  if (operation === "aggregate" && !aggregateNames.some((name) => name in args)) refuse(`Expected aggregate to have one of ${aggregateNames.join(", ")}. ${examples.aggregate ?? ""}`);
  return { operation, args: operation === "groupBy" ? checkGroups(args) : args };
}

const examples: Partial<Record<Operation, string>> = {
  findUnique: `For example '{"where":{"id":"01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61"}}'.`,
  aggregate: `For example '{"_count":{"id":true}}'.`,
  groupBy: `For example '{"by":["type","status"],"_count":{"_all":true}}'.`,
  deleteMany: `For example '{"where":{"status":"done","createdAt":{"lt":"2024-01-01T00:00:00Z"}}}'.`,
  updateMany: `For example '{"where":{"status":"error","attempts":{"lt":3}},"data":{"status":"pending"}}'.`,
};

function fieldName(value: unknown, path: string): FieldName {
  return expectName(value, path, "field", fieldNames);
}

function checkGroups(args: Record<string, unknown>): JsonObject {
  const by = args.by as string[]; // oneOrMoreFields made it
  const order = (args.orderBy ?? by.map((name) => ({ [name]: "asc" }))) as JsonObject[]; // groupOrder made it
  for (const name of order.flatMap((item) => Object.keys(item))) {
    if (!isKnown(name, aggregateNames) && !by.includes(name)) refuse(`Expected orderBy to name fields of by (${by.join(", ")}) or an aggregate, got "${name}".`);
  }
  return { ...args, orderBy: order, ...("having" in args ? { having: parseHaving(args.having, "having", by) } : {}) };
}
