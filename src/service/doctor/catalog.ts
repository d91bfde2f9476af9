// What Postgres says our tables are: columns, constraints, indexes, triggers, functions, storage settings, each as a
// line of text that can be compared with what the migrations make (expected-schema.ts) and used to mend what differs.

import type { Row, Sql } from "../../outbox/database.ts";

export type CatalogKind = "table" | "column" | "constraint" | "index" | "trigger" | "function" | "sequence" | "setting";

export interface CatalogItem {
  readonly kind: CatalogKind;
  /** Empty for what is no table's. */
  readonly table: string;
  readonly name: string;
  readonly definition: string;
}

/** In the place of the schema's name, where a definition has to name it. */
export const schemaMark = "{schema}";

/**
 * All of it, in the order of kinds, tables and names. Names in definitions go without the schema. Not null is the
 * column's, though Postgres 18 has constraints for it too; triggers and indexes that Postgres made by itself are left out.
 */
export async function readCatalog(sql: Sql, tables: readonly string[]): Promise<CatalogItem[]> {
  const rows = await sql.query(
    `with own as (
       select class.oid, class.relname::text as name, class.reloptions, space.oid as schema, space.nspname
       from unnest($1::text[]) as wanted (name)
       join pg_class as class on class.oid = to_regclass(wanted.name) and class.relkind in ('r', 'p')
       join pg_namespace as space on space.oid = class.relnamespace
     ),
     home as (
       select schema, nspname from own order by name = 'outbox' desc limit 1
     ),
     item (kind, "table", name, definition) as (
       select 'table', name, name, 'table' from own
       union all
       select 'column', own.name, attname::text,
         format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
           || case when attgenerated <> '' or attidentity <> '' then ' generated' else '' end
           || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
       from own
       join pg_attribute on attrelid = own.oid and attnum > 0 and not attisdropped
       left join pg_attrdef on adrelid = attrelid and adnum = attnum
       union all
       select 'constraint', own.name, conname::text, pg_get_constraintdef(pg_constraint.oid) || case when convalidated then '' else ' (not validated)' end
       from own
       join pg_constraint on conrelid = own.oid and contype in ('p', 'u', 'c', 'f', 'x')
       union all
       select 'index', own.name, class.relname::text, replace(pg_get_indexdef(indexrelid), ' ON ' || quote_ident(own.nspname) || '.', ' ON ')
       from own
       join pg_index on indrelid = own.oid
       join pg_class as class on class.oid = indexrelid
       where not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
       union all
       select 'trigger', own.name, tgname::text,
         replace(pg_get_triggerdef(pg_trigger.oid, true), ' ON ' || quote_ident(own.nspname) || '.', ' ON ')
           || case tgenabled when 'O' then '' when 'D' then ' (disabled)' else ' (enabled ' || tgenabled::text || ')' end
       from own
       join pg_trigger on tgrelid = own.oid and not tgisinternal
       union all
       select 'function', '', proname || '(' || oidvectortypes(proargtypes) || ')',
         replace(replace(pg_get_functiondef(pg_proc.oid), 'FUNCTION ' || quote_ident(home.nspname) || '.', 'FUNCTION '),
           'SET search_path TO ' || quote_literal(home.nspname) || ',', 'SET search_path TO ${schemaMark},')
       from home
       join pg_proc on pronamespace = home.schema and prokind = 'f' and (proname like 'outbox\\_%' or proname like 'audit\\_log\\_%')
       union all
       select 'sequence', '', relname::text, 'sequence'
       from home
       join pg_class on relnamespace = home.schema and relkind = 'S' and relname = 'outbox_sequence'
       union all
       select 'setting', own.name, split_part(option, '=', 1), split_part(option, '=', 2)
       from own
       cross join unnest(own.reloptions) as option
     )
     select * from item order by kind, "table", name`,
    [tables],
  );
  return rows.map(itemOf).sort((one, other) => compare(key(one), key(other)));
}

/** What makes an item the same one in two catalogs. */
export const key = ({ kind, table, name }: CatalogItem): string => `${kind} ${table} ${name}`;

/** By code points: databases sort by their own language. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one === other ? 0 : 1;
}

function itemOf(row: Row): CatalogItem {
  return { kind: row.kind as CatalogKind, table: String(row.table), name: String(row.name), definition: String(row.definition) }; // a kind named above
}
