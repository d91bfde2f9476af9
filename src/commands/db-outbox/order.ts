// The closed grammar of orderBy: which fields, in which direction, nulls first or last; for groups by aggregates too.

import { aggregateNames, parseAggregate } from "./aggregates.ts";
import { fieldNames, fields } from "./fields.ts";
import { isKnown, refuse } from "./refuse.ts";
import type { JsonObject } from "./values.ts";
import { expectEntries, expectList, expectName } from "./values.ts";

export function oneOrMore(value: unknown, path: string, parse: (item: unknown, path: string) => JsonObject): JsonObject[] {
  return Array.isArray(value) ? expectList(value, path, parse) : [parse(value, path)];
}

const directions = ["asc", "desc"] as const;

/** `{"createdAt":"desc"}`, or for a field that can be null `{"owner":{"sort":"asc","nulls":"last"}}`. */
export function orderByField(value: unknown, path: string): JsonObject {
  const [name, direction] = onlyEntry(value, path, fieldNames);
  const here = `${path}.${name}`;
  if (typeof direction !== "object" || direction === null || !fields[name].nullable) return { [name]: expectName(direction, here, "direction", directions) };
  const parts = expectEntries(direction, here, "name", ["sort", "nulls"] as const).map(([part, item]): [string, string] => [
    part,
    part === "sort" ? expectName(item, `${here}.sort`, "direction", directions) : expectName(item, `${here}.nulls`, "place", ["first", "last"]),
  ]);
  if (!parts.some(([part]) => part === "sort")) refuse(`Expected ${here} to have "sort" beside "nulls".`);
  return { [name]: Object.fromEntries(parts) };
}

/** As orderByField, or by an aggregate: `{"_count":{"id":"desc"}}`. */
export function groupOrder(value: unknown, path: string): JsonObject {
  const [name, inner] = onlyEntry(value, path, [...fieldNames, ...aggregateNames]);
  if (!isKnown(name, aggregateNames)) return orderByField(value, path);
  const here = `${path}.${name}`;
  const [field, direction] = onlyEntry(inner, here, fieldNames);
  if (name !== "_count") parseAggregate(name)({ [field]: true }, here);
  return { [name]: { [field]: expectName(direction, `${here}.${field}`, "direction", directions) } };
}

function onlyEntry<Name extends string>(value: unknown, path: string, known: readonly Name[]): [Name, unknown] {
  const [first, ...others] = expectEntries(value, path, "field", known);
  // An object has no order that one could rely on.
  if (first === undefined || others.length > 0) return refuse(`Expected ${path} to name one field. For several give a list: [{"status":"asc"},{"createdAt":"desc"}].`);
  return first;
}
