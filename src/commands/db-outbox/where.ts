// The closed grammar of filters: `where` with the fields of a job, operators by kind, AND, OR and NOT. Nothing else.
// Every condition says something: {}, [] and "" are refused, because they would quietly match everything or nothing.

import type { FieldName, ScalarKind } from "./fields.ts";
import { fieldNames, fields, isScalar } from "./fields.ts";
import { refuse } from "./refuse.ts";
import type { JsonObject } from "./values.ts";
import { expectEntries, expectKind, expectList, expectName, expectObject, expectText } from "./values.ts";

const equality = ["equals", "not", "in", "notIn"] as const;
const order = ["lt", "lte", "gt", "gte"] as const;
const search = ["contains", "startsWith", "endsWith"] as const;
const jsonSearch = ["string_contains", "string_starts_with", "string_ends_with"] as const;
const jsonOperators = ["path", "equals", ...jsonSearch, "array_contains"] as const;
const listOperators = ["has", "hasSome", "hasEvery"] as const;
type Operator = (typeof equality)[number] | (typeof order)[number] | (typeof search)[number] | "mode";

/** The operators that a kind of field has. JSON and lists have their own, above. */
function operatorsOf(kind: ScalarKind | "number"): readonly Operator[] {
  switch (kind) {
    case "text":
    case "status":
      return [...equality, ...order, ...search, "mode"];
    case "boolean":
      return ["equals", "not"];
    case "uuid":
    case "integer":
    case "smallint":
    case "bigint":
    case "number":
    case "time":
      return [...equality, ...order];
  }
}

/** A checked `where`. Only the outermost one may be empty, and that only where a read may mean "all". */
export function parseWhere(value: unknown, path: string): JsonObject {
  if (Object.keys(expectObject(value, path)).length === 0) return {};
  return parseConditions(value, path, fieldNames, parseField);
}

/** AND, OR and NOT around conditions on fields; `where` and `having` differ only in what a field may say. */
export function parseConditions<Name extends string>(
  value: unknown,
  path: string,
  names: readonly Name[],
  parse: (name: Name, condition: unknown, path: string) => unknown,
): JsonObject {
  const nested = (item: unknown, itemPath: string): JsonObject => parseConditions(item, itemPath, names, parse);
  const parsed = expectEntries(value, path, "field", [...names, "AND", "OR", "NOT"] as const).map(([name, condition]): [string, unknown] => {
    const here = `${path}.${name}`;
    if (name === "OR") return [name, expectList(condition, here, nested)];
    if (name === "AND" || name === "NOT") return [name, Array.isArray(condition) ? expectList(condition, here, nested) : nested(condition, here)];
    return [name, parse(name, condition, here)]; // what is neither AND, OR nor NOT is one of the names
  });
  return Object.fromEntries(parsed);
}

function parseField(name: FieldName, condition: unknown, path: string): unknown {
  const { kind, nullable } = fields[name];
  if (isScalar(kind)) return parseScalarFilter(kind, nullable, condition, path);
  return kind === "json" ? parseJsonFilter(condition, path) : parseListFilter(condition, path);
}

/** A bare value, or an object of operators. */
export function parseScalarFilter(kind: ScalarKind | "number", nullable: boolean, condition: unknown, path: string): unknown {
  const one = (value: unknown, valuePath: string): unknown => {
    if (value === null) return nullable ? null : refuse(`Expected ${valuePath} to be a value, got null: the field is never null.`);
    return expectKind(kind, value, valuePath);
  };
  if (typeof condition !== "object" || condition === null) return one(condition, path);
  const known = operatorsOf(kind);
  const given = expectEntries(condition, path, "operator", known);
  const mode = given.find(([operator]) => operator === "mode")?.[1];
  const insensitive = mode !== undefined && expectName(mode, `${path}.mode`, "mode", ["default", "insensitive"]) === "insensitive";
  if (mode !== undefined && given.length === 1) refuse(`Expected ${path} to have an operator beside "mode", got only the mode.`);
  const parsed = given.map(([operator, value]): [string, unknown] => {
    const here = `${path}.${operator}`;
    switch (operator) {
      case "in":
      case "notIn":
        return [operator, expectList(value, here, (item, itemPath) => expectKind(kind, item, itemPath))];
      case "not":
        if (insensitive) refuse(`Expected ${path} without "mode": "not" has none. Use NOT around the condition.`);
        return [operator, typeof value === "object" && value !== null ? parseScalarFilter(kind, nullable, value, here) : one(value, here)];
      case "contains":
      case "startsWith":
      case "endsWith":
        return [operator, pattern(value, here)];
      case "equals": {
        const equal = one(value, here);
        // Prisma asks this by ILIKE, where % and _ stand for anything.
        return [operator, insensitive && typeof equal === "string" ? escapeLike(equal) : equal];
      }
      case "lt":
      case "lte":
      case "gt":
      case "gte":
        if (insensitive) refuse(`Expected ${path} without "mode": "${operator}" has none.`);
        return [operator, kind === "status" ? expectText(value, here) : expectKind(kind, value, here)];
      case "mode":
        return [operator, value];
    }
  });
  return Object.fromEntries(parsed);
}

function parseJsonFilter(condition: unknown, path: string): JsonObject {
  if (typeof condition !== "object" || condition === null || Array.isArray(condition)) {
    return refuse(`Expected ${path} to be an object of operators, such as {"path":["to"],"equals":"ada@example.com"}. Known: ${jsonOperators.join(", ")}.`);
  }
  const given = expectEntries(condition, path, "operator", jsonOperators);
  if (given.every(([operator]) => operator === "path")) refuse(`Expected ${path} to have an operator beside "path". Known: ${jsonOperators.slice(1).join(", ")}.`);
  const parsed = given.map(([operator, value]): [string, unknown] => {
    const here = `${path}.${operator}`;
    switch (operator) {
      case "path":
        return [operator, expectList(value, here, expectText)];
      case "equals":
        return [operator, expectKind("json", value, here)];
      case "array_contains":
        return [operator, expectList(value, here, (item) => item)];
      case "string_contains":
      case "string_starts_with":
      case "string_ends_with":
        return [operator, pattern(value, here)];
    }
  });
  return Object.fromEntries(parsed);
}

function parseListFilter(condition: unknown, path: string): JsonObject {
  const given = expectEntries(condition, path, "operator", listOperators);
  return Object.fromEntries(given.map(([operator, value]) => [operator, operator === "has" ? expectText(value, `${path}.has`) : expectKind("texts", value, `${path}.${operator}`)]));
}

function pattern(value: unknown, path: string): string {
  const text = expectText(value, path);
  return text === "" ? refuse(`Expected ${path} to be text of at least one character, got "", which everything contains.`) : escapeLike(text);
}

/** Prisma sends the text to LIKE as it is. Escaped, "100%" and "a_b" mean themselves, and "%" does not mean everything. */
function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, "\\$&");
}

