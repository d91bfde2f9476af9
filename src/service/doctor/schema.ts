// Are the migrations applied, and is the schema still what they make? Indexes have a check of their own, for they can
// be mended while everything runs; storage settings too.

import { migrationStatus } from "../migrate.ts";
import { visible } from "../visible.ts";
import type { CatalogItem } from "./catalog.ts";
import { key, readCatalog, schemaMark } from "./catalog.ts";
import type { Check } from "./doctor.ts";
import { expectedSchema } from "./expected-schema.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedName, warning } from "./look.ts";

export const migrations: Check = {
  name: "migrations",
  needsTables: false,
  async run({ url, migrations: folder }) {
    const { pending, failed, unknown, changed, applied } = await migrationStatus(url, folder);
    const seen: Seen[] = [];
    if (failed.length > 0) seen.push(problem(`failed: ${failed.map(({ name }) => name).join(", ")}.`, "npm run app:cli migrate   # says why, and what to do"));
    if (pending.length > 0) seen.push(problem(`not applied: ${pending.join(", ")}.`, "npm run app:cli migrate"));
    if (unknown.length > 0) seen.push(warning(`the database has migrations that this program does not know: ${unknown.map(visible).join(", ")}. It belongs to a newer version.`, "deploy that version here"));
    if (changed.length > 0) seen.push(warning(`edited after they were applied: ${changed.join(", ")}. The database has what they said then.`));
    return seen.length > 0 ? seen : [ok(`all ${applied.length} are applied.`)];
  },
};

export const schema: Check = {
  name: "schema",
  needsTables: true,
  async run({ sql }) {
    const [home] = await sql.query("select relnamespace::regnamespace::text as name from pg_class where oid = 'outbox'::regclass");
    const found = await readCatalog(sql, ownTables);
    const seen = differences(found, String(home?.name));
    return seen.length > 0 ? seen : [ok(`${found.length} tables, columns, constraints, triggers, functions and other things are as the migrations make them.`)];
  },
};

/** Our tables. */
export const ownTables = expectedSchema.filter(({ kind }) => kind === "table").map(({ name }) => name);

const elsewhere = new Set(["index", "setting"]);

function differences(found: readonly CatalogItem[], schemaName: string): Seen[] {
  const known = new Map(found.map((item) => [key(item), item]));
  const expected = new Map(expectedSchema.map((item) => [key(item), item]));
  const missingTables = new Set(expectedSchema.filter((item) => item.kind === "table" && !known.has(key(item))).map(({ table }) => table));
  const differing = expectedSchema
    .filter((item) => !elsewhere.has(item.kind) && (item.kind === "table" || !missingTables.has(item.table)))
    .flatMap((item) => {
      const now = known.get(key(item));
      if (now === undefined) return [problem(`${titleOf(item)} is missing.`, mend(item, schemaName))];
      return sameText(now.definition, item.definition) ? [] : [changed(item, now, schemaName)];
    });
  const strange = found.filter((item) => !elsewhere.has(item.kind) && item.kind !== "table" && !expected.has(key(item))).flatMap(stranger);
  return [...differing, ...strange];
}

function titleOf({ kind, table, name }: CatalogItem): string {
  return kind === "table" || table === "" ? `the ${kind} ${visible(name)}` : `the ${kind} ${visible(name)} of ${table}`;
}

function changed(wanted: CatalogItem, now: CatalogItem, schemaName: string): Seen {
  const title = titleOf(wanted);
  if (wanted.kind === "function") return problem(`${title} is not the one that the migrations make.`, mend(wanted, schemaName));
  if (wanted.kind === "trigger" && now.definition.endsWith(")") && now.definition.startsWith(wanted.definition)) {
    return problem(`${title} does not fire for everybody: it is${now.definition.slice(wanted.definition.length).replace(/[()]/g, "")}.`, `alter table ${wanted.table} enable trigger ${wanted.name};`);
  }
  return problem(`${title} is "${visible(now.definition)}", expected "${wanted.definition}".`, wanted.kind === "column" ? alterColumn(wanted, now) : `${drop(wanted)}\n${mend(wanted, schemaName)}`);
}

/** What somebody has added. A trigger and a constraint can make every write of the engine's fail; a column seldom does harm. */
function stranger(item: CatalogItem): Seen[] {
  switch (item.kind) {
    case "trigger":
      return [warning(`${titleOf(item)} is not ours: it runs with every such write of the engine's ("${visible(item.definition)}").`)];
    case "constraint":
      return [warning(`${titleOf(item)} is not ours: a write that it refuses fails a job ("${visible(item.definition)}").`)];
    case "column": {
      const refuses = item.definition.includes(" not null") && !item.definition.includes(" default ") && !item.definition.includes(" generated");
      return refuses
        ? [problem(`${titleOf(item)} is not ours, may not be null and has no default: no row can be written any more.`, `alter table ${item.table} alter column ${quotedName(item.name)} drop not null;`)]
        : [notice(`${titleOf(item)} is not ours.`)];
    }
    case "function":
    case "sequence":
    case "table":
    case "index":
    case "setting":
      return [];
  }
}

/** SQL that makes it. A table is more than its columns; it comes back with its migration. */
export function mend({ kind, table, name, definition }: CatalogItem, schemaName: string): string {
  const text = definition.replaceAll(schemaMark, schemaName);
  switch (kind) {
    case "column":
      return `alter table ${table} add column ${name} ${text};`;
    case "constraint":
      return `alter table ${table} add constraint ${name} ${text};`;
    case "function":
      return `${text.trimEnd()};`;
    case "sequence":
      return `create sequence ${name}; -- then: select setval('${name}', (select coalesce(max(sequence), 1) from outbox))`;
    case "setting":
      return `alter table ${table} set (${name} = ${text});`;
    case "index":
    case "trigger":
      return `${text};`;
    case "table":
      return `-- Look for "create table ${name}" in prisma/migrations: its statements, and those after it about the same table, make it again.`;
  }
}

function drop({ kind, table, name }: CatalogItem): string {
  return kind === "trigger" ? `drop trigger ${name} on ${table};` : `alter table ${table} drop constraint ${name};`;
}

/** Type, not null and default are changed by a statement each. */
function alterColumn(wanted: CatalogItem, now: CatalogItem): string {
  const [want, have] = [partsOf(wanted.definition), partsOf(now.definition)];
  const alter = `alter table ${wanted.table} alter column ${wanted.name}`;
  return [
    ...(want.type === have.type ? [] : [`${alter} type ${want.type}; -- rewrites the table, which is locked meanwhile`]),
    ...(want.expression === have.expression ? [] : [want.expression === null ? `${alter} drop default;` : `${alter} set default ${want.expression};`]),
    ...(want.required === have.required ? [] : [`${alter} ${want.required ? "set" : "drop"} not null;`]),
  ].join("\n");
}

function partsOf(definition: string): { type: string; required: boolean; expression: string | null } {
  const [, type = definition, required, expression = null] = /^(.*?)( not null)?(?: default (.*))?$/s.exec(definition) ?? [];
  return { type, required: required !== undefined, expression };
}

/** Versions of Postgres differ in the case and the blanks of what they write, not in its words. */
function sameText(one: string, other: string): boolean {
  const plain = (text: string) => text.replace(/\s+/g, " ").toLowerCase();
  return one === other || plain(one) === plain(other);
}
