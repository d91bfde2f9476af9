// Upserts rows by key and version: a stale message never overwrites a newer row, whatever order messages come in.
// All identifiers come from the endpoint's configuration and the catalog, all values go as one JSON parameter.

import type { Sql } from "../../outbox/database.ts";
import { columnsOf, quoted, quotedTable } from "./catalog.ts";
import type { Columns } from "./catalog.ts";
import type { TableEndpoint } from "./endpoints.ts";
import { keyColumns } from "./endpoints.ts";
import type { Item } from "./items.ts";
import type { TableRow } from "./rows.ts";
import { toRows } from "./rows.ts";

export interface Upserted {
  /** Items in the message. */
  readonly received: number;
  /** Rows inserted or overwritten. */
  readonly written: number;
  /** Items whose row had the same or a greater version already, or another item of the message had. */
  readonly stale: number;
}

/** Writes all items or none, in the caller's transaction. */
export async function upsert(tx: Sql, endpoint: TableEndpoint, items: readonly Item[]): Promise<Upserted> {
  const columns = await columnsOf(tx, endpoint.table);
  const rows = toRows(items, endpoint, columns);
  const newest = await newestInKeyOrder(tx, endpoint, columns, rows);
  let written = 0;
  for (const group of bySetOfColumns(newest)) written += await write(tx, endpoint, columns, group);
  return { received: items.length, written, stale: items.length - written };
}

/** A field that an item does not have is a column that stays as it is, so one statement serves one set of columns. */
function bySetOfColumns(rows: readonly TableRow[]): Iterable<TableRow[]> {
  const groups = new Map<string, TableRow[]>();
  for (const row of rows) {
    const names = JSON.stringify([...row.keys()].sort());
    const group = groups.get(names);
    if (group === undefined) groups.set(names, [row]);
    else group.push(row);
  }
  return groups.values();
}

/**
 * For every key the row with the highest version, the last of equal ones; in the order of the keys, so that two messages
 * lock the rows they share in the same order. Postgres compares, by the columns' types: "2" and 2 are one bigint.
 */
async function newestInKeyOrder(tx: Sql, { key, version }: TableEndpoint, columns: Columns, rows: readonly TableRow[]): Promise<TableRow[]> {
  if (rows.length < 2) return [...rows];
  const keys = keyColumns(key);
  const aliases = keys.map((_, index) => `key${index}`).join(", ");
  const ordered = await tx.query(
    `select distinct on (${aliases}) ordinal::int as ordinal
     from rows from (jsonb_to_recordset($1::text::jsonb) as (${definitions([...keys, version], columns)}))
       with ordinality as item (${aliases}, version, ordinal)
     order by ${aliases}, version desc, ordinal desc`,
    [toJson(rows, [...keys, version])],
  );
  return ordered.map(({ ordinal }) => rows[Number(ordinal) - 1]).filter((row) => row !== undefined);
}

/** How many of the rows were inserted or were newer than what stood there. All have the same columns. */
async function write(tx: Sql, { table, key, version }: TableEndpoint, columns: Columns, rows: readonly TableRow[]): Promise<number> {
  const keys = keyColumns(key);
  const names = [...(rows[0]?.keys() ?? [])];
  const list = names.map(quoted).join(", ");
  const changes = names.filter((name) => !keys.includes(name)).map((name) => `${quoted(name)} = excluded.${quoted(name)}`);
  // A row that has no version yet was not written by a sync: any version is newer.
  const [counted] = await tx.query(
    `with written as (
       insert into ${quotedTable(table)} as stored (${list})
       select ${list}
       from jsonb_to_recordset($1::text::jsonb) as item (${definitions(names, columns)})
       on conflict (${keys.map(quoted).join(", ")}) do update
       set ${changes.join(", ")}
       where stored.${quoted(version)} is null
          or stored.${quoted(version)} < excluded.${quoted(version)}
       returning 1
     )
     select count(*)::int as written
     from written`,
    [toJson(rows, names)],
  );
  return Number(counted?.written ?? 0);
}

function definitions(names: readonly string[], columns: Columns): string {
  return names.map((name) => `${quoted(name)} ${columns.get(name) ?? "text"}`).join(", ");
}

function toJson(rows: readonly TableRow[], names: readonly string[]): string {
  return JSON.stringify(rows.map((row) => Object.fromEntries(names.map((name) => [name, row.get(name)]))));
}
