// The closed grammar of aggregate and groupBy: what may be counted, summed and averaged, and conditions on groups.

import type { FieldName, ScalarKind } from "./fields.ts";
import { fieldNames, fields, fieldsOf, isScalar } from "./fields.ts";
import { refuse } from "./refuse.ts";
import type { JsonObject } from "./values.ts";
import { expectBoolean, expectEntries, expectObject } from "./values.ts";
import { parseConditions, parseScalarFilter } from "./where.ts";

export const aggregateNames = ["_count", "_sum", "_avg", "_min", "_max"] as const;
type AggregateName = (typeof aggregateNames)[number];

const numeric = fieldsOf("integer", "smallint", "bigint");
// Postgres has no least uuid, boolean or JSON value.
const comparable = fieldsOf("text", "status", "integer", "smallint", "bigint", "time");

/** `true`, or which fields: `{"_all":true,"owner":true}` counts the rows, and those that have an owner. */
export function parseCount(value: unknown, path: string): unknown {
  return value === true ? true : flags(value, path, ["_all", ...fieldNames]);
}

export function parseAggregate(name: Exclude<AggregateName, "_count">): (value: unknown, path: string) => JsonObject {
  const known = name === "_sum" || name === "_avg" ? numeric : comparable;
  return (value, path) => flags(value, path, known);
}

/** `{"id":true,…}` with at least one true. */
export function flags(value: unknown, path: string, known: readonly string[]): JsonObject {
  const parsed = expectEntries(value, path, "field", known).map(([name, flag]): [string, boolean] => [name, expectBoolean(flag, `${path}.${name}`)]);
  if (!parsed.some(([, flag]) => flag)) refuse(`Expected ${path} to have at least one field that is true.`);
  return Object.fromEntries(parsed);
}

const havingNames = fieldNames.filter((name) => isScalar(fields[name].kind));

/** Conditions on groups: a field of `by` compared as in `where`, or an aggregate: `{"id":{"_count":{"gt":100}}}`. */
export function parseHaving(value: unknown, path: string, by: readonly string[]): JsonObject {
  return parseConditions(value, path, havingNames, (name, condition, here) => {
    const { kind, nullable } = fields[name];
    if (!isScalar(kind)) return refuse(`Expected ${path} to name a field that can be compared, got ${name}.`);
    const given = typeof condition === "object" && condition !== null ? Object.entries(expectObject(condition, here)) : [];
    const aggregated = given.filter(([key]) => isAggregate(key));
    if (aggregated.length < Math.max(given.length, 1)) {
      if (!by.includes(name)) refuse(`Expected ${here} to be an aggregate (${aggregateNames.join(", ")}), or "${name}" to be in by.`);
      if (aggregated.length > 0) refuse(`Expected ${here} to be an aggregate or a comparison, got both. Join them by AND.`);
      return parseScalarFilter(kind, nullable, condition, here);
    }
    return Object.fromEntries(aggregated.map(([key, filter]) => [key, parseGroupFilter(key as AggregateName, name, filter, `${here}.${key}`)])); // filtered by isAggregate
  });
}

function parseGroupFilter(aggregate: AggregateName, name: FieldName, filter: unknown, path: string): unknown {
  const parsed = parseScalarFilter(aggregateKind(aggregate, name, path), false, filter, path);
  // Prisma takes a bare value for a field, but not for an aggregate.
  return typeof filter === "object" ? parsed : { equals: parsed };
}

/** The kind of value that an aggregate of a field has. */
function aggregateKind(aggregate: AggregateName, name: FieldName, path: string): ScalarKind | "number" {
  const { kind } = fields[name];
  if (aggregate === "_count") return "integer";
  const known = aggregate === "_sum" || aggregate === "_avg" ? numeric : comparable;
  if (!known.includes(name) || !isScalar(kind)) return refuse(`Expected ${path} to be on one of ${known.join(", ")}, got ${name}.`);
  if (aggregate === "_avg") return "number";
  return aggregate === "_sum" && kind === "smallint" ? "integer" : kind;
}

function isAggregate(key: string): key is AggregateName {
  return (aggregateNames as readonly string[]).includes(key);
}
