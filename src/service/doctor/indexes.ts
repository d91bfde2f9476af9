// Indexes: ours that are missing, broken or bloated, and others' that every job pays for.

import type { Sql } from "../../outbox/database.ts";
import { visible } from "../visible.ts";
import { key, readCatalog } from "./catalog.ts";
import type { Check } from "./doctor.ts";
import { expectedSchema } from "./expected-schema.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedName, warning } from "./look.ts";
import { ownTables } from "./schema.ts";

/** Without these, searches are slow; without any other of ours, so is the engine, or it does not keep its promises. */
const forSearches = new Set(["outbox_owner", "outbox_tags", "outbox_dedupe_released", "outbox_ordering_left", "audit_log_subject_id_idx", "notification_user_id_created_at_idx", "outbox_action_job_action_id_idx"]);
const bloatedBytes = 32 * 1024 * 1024;
const bytesPerEntry = 1000;

export const indexes: Check = {
  name: "indexes",
  needsTables: true,
  async run({ sql }) {
    const wanted = expectedSchema.filter(({ kind }) => kind === "index");
    const found = new Map((await readCatalog(sql, ownTables)).filter(({ kind }) => kind === "index").map((item) => [key(item), item]));
    const states = await statesOf(sql);
    const seen: Seen[] = [];
    for (const item of wanted) {
      const lacks = forSearches.has(item.name) ? warning : problem;
      const create = concurrently(item.definition);
      const [now, state] = [found.get(key(item)), states.get(item.name)];
      if (now === undefined) {
        seen.push(lacks(`${item.name} on ${item.table} is missing.`, create));
      } else if (state?.building === true) {
        seen.push(notice(`${item.name} on ${item.table} is being built at this moment.`));
      } else if (state?.valid === false) {
        seen.push(lacks(`${item.name} on ${item.table} is invalid: its building was interrupted. It costs every write and serves ${item.definition.includes("UNIQUE") ? "as a constraint at best" : "nothing"}.`, `drop index concurrently ${item.name};\n${create}`));
      } else if (now.definition.toLowerCase() !== item.definition.toLowerCase()) {
        const name = `${item.name}_new`;
        seen.push(
          lacks(
            `${item.name} is "${visible(now.definition)}", expected "${item.definition}".`,
            `${create.replace(item.name, name)}\ndrop index concurrently ${item.name};\nalter index ${name} rename to ${item.name};`,
          ),
        );
      } else if (state !== undefined && state.bytes > bloatedBytes && state.bytes > state.entries * bytesPerEntry) {
        seen.push(warning(`${item.name} takes ${megabytes(state.bytes)} for ${state.entries} entries: vacuum came late, or a snapshot was held open for long.`, `reindex index concurrently ${item.name};`));
      }
    }
    const ours = new Set(expectedSchema.map(({ name }) => name));
    for (const [name, { table, bytes, scans, valid, constraint }] of states) {
      if (ours.has(name) || constraint) continue;
      const cost = `${visible(name)} on ${table} is not ours: ${megabytes(bytes)}${valid ? "" : ", invalid"}, used ${scans} times since statistics began.`;
      if (table === "outbox") seen.push(warning(`${cost} Every job is written three times, and pays for it each time.`, `drop index concurrently ${quotedName(name)};${scans === 0 ? "" : " -- when you know which query used it"}`));
      else seen.push(notice(cost));
    }
    return seen.length > 0 ? seen : [ok(`all ${wanted.length} of ours are there and valid; outbox has no others.`)];
  },
};

function concurrently(definition: string): string {
  return `${definition.replace(/^CREATE (UNIQUE )?INDEX /, "create $1index concurrently ").replace("UNIQUE", "unique")};`;
}

interface IndexState {
  readonly table: string;
  readonly valid: boolean;
  readonly building: boolean;
  /** It is a constraint's, and looked at with the schema. */
  readonly constraint: boolean;
  readonly bytes: number;
  /** As of the last vacuum. */
  readonly entries: number;
  readonly scans: number;
}

async function statesOf(sql: Sql): Promise<Map<string, IndexState>> {
  const rows = await sql.query(
    `select class.relname as name, own.name as table, index.indisvalid and index.indisready as valid,
       exists (select from pg_stat_progress_create_index as progress where progress.index_relid = class.oid) as building,
       exists (select from pg_constraint where conindid = class.oid and contype in ('p', 'u', 'x')) as constraint,
       pg_relation_size(class.oid)::float8 as bytes, greatest(class.reltuples, 0)::float8 as entries,
       coalesce(pg_stat_get_numscans(class.oid), 0)::float8 as scans
     from unnest($1::text[]) as own (name)
     join pg_index as index on index.indrelid = to_regclass(own.name)
     join pg_class as class on class.oid = index.indexrelid
     order by class.relname`,
    [ownTables],
  );
  return new Map(
    rows.map((row) => [
      String(row.name),
      { table: String(row.table), valid: row.valid === true, building: row.building === true, constraint: row.constraint === true, bytes: Number(row.bytes), entries: Number(row.entries), scans: Number(row.scans) },
    ]),
  );
}

export function megabytes(bytes: number): string {
  return `${bytes < 10_485_760 ? Math.round(bytes / 104_857.6) / 10 : Math.round(bytes / 1_048_576)} MB`;
}
