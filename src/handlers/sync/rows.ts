// From items to rows of a table: which field goes to which column, and what must not be missing.
// Next: table.ts, which writes them.

import { FinalError } from "../../outbox/errors.ts";
import type { Columns } from "./catalog.ts";
import type { TableEndpoint } from "./endpoints.ts";
import { keyColumns } from "./endpoints.ts";
import type { Item } from "./items.ts";
import { roundedNumber } from "./items.ts";

/** Values by the name of their column. */
export type TableRow = ReadonlyMap<string, unknown>;

/** Refuses with a FinalError, before anything is written, the first item that is no row of the table. */
export function toRows(items: readonly Item[], endpoint: TableEndpoint, columns: Columns): TableRow[] {
  const mapping = endpoint.columns === undefined ? null : new Map(Object.entries(endpoint.columns));
  const unknown = [...(mapping?.values() ?? []), ...keyColumns(endpoint.key), endpoint.version].find((column) => !columns.has(column));
  if (unknown !== undefined) {
    throw new FinalError(`Expected the table ${endpoint.table} to have the column "${unknown}" that its endpoint names, got ${namesOf(columns)}. Correct the endpoint or the table.`);
  }
  return items.map((item, index) => toRow(item, `data[${index}]`, endpoint, columns, mapping));
}

function toRow(item: Item, path: string, { table, key, version }: TableEndpoint, columns: Columns, mapping: ReadonlyMap<string, string> | null): TableRow {
  const row = new Map<string, unknown>();
  for (const [field, value] of Object.entries(item)) {
    // With a mapping the endpoint has said what it wants; without one, a field that goes nowhere would be lost in silence.
    const column = mapping === null ? field : mapping.get(field);
    if (column === undefined) continue;
    if (!columns.has(column)) {
      throw new FinalError(`Expected every field of the data to have a column in ${table}, got ${path}.${field}. Its columns are ${namesOf(columns)}; to leave fields out, list those wanted as columns of the endpoint.`);
    }
    const rounded = roundedNumber(value, `${path}.${field}`);
    if (rounded !== null) throw new FinalError(`Expected whole numbers up to 2^53, got a greater one in ${rounded}, which JSON numbers round. Send it as a string.`);
    row.set(column, value);
  }
  for (const column of [...keyColumns(key), version]) {
    const value = row.get(column);
    if (value !== undefined && value !== null) continue;
    const field = [...(mapping ?? [])].find(([, mapped]) => mapped === column)?.[0] ?? column;
    const role = column === version ? "the version" : "part of the key";
    throw new FinalError(`Expected ${path}.${field}, which is ${role} of ${table}, got ${value === null ? "null" : "no such field"}.`);
  }
  return row;
}

function namesOf(columns: Columns): string {
  return [...columns.keys()].map((name) => `"${name}"`).join(", ");
}
