// What Postgres knows about a table: the columns that can be written, and their types.

import type { Sql } from "../../outbox/database.ts";
import { FinalError } from "../../outbox/errors.ts";

/** Name of a column -> its type as SQL. */
export type Columns = ReadonlyMap<string, string>;

/** A name as an SQL identifier, whatever it is made of. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** "crm.customer" as "crm"."customer". */
export function quotedTable(table: string): string {
  return table.split(".").map(quoted).join(".");
}

/** Columns that Postgres computes itself are not among them. */
export async function columnsOf(tx: Sql, table: string): Promise<Columns> {
  const rows = await tx.query(
    `select attname::text as name, format_type(atttypid, atttypmod) as type
     from pg_attribute
     where attrelid = to_regclass($1::text)
       and attnum > 0
       and not attisdropped
       and attgenerated = ''
       and attidentity <> 'a'
     order by attnum`,
    [quotedTable(table)],
  );
  if (rows.length === 0) {
    throw new FinalError(`Expected a table ${table}, got none of that name in the database. Create it, or correct the endpoint; names are spelled as in the database, capitals included.`);
  }
  return new Map(rows.map(({ name, type }) => [String(name), String(type)]));
}
