// Vacuum: our settings of the tables, whether it runs at all, and how much it has left lying.

import type { Check } from "./doctor.ts";
import { expectedSchema } from "./expected-schema.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, spoken, warning } from "./look.ts";
import { ownTables } from "./schema.ts";

const hourMs = 3_600_000;

export const tableSettings: Check = {
  name: "table settings",
  needsTables: true,
  async run({ sql }) {
    const rows = await sql.query(
      `select own.name, class.reloptions as options
       from unnest($1::text[]) as own (name)
       join pg_class as class on class.oid = to_regclass(own.name)`,
      [ownTables],
    );
    const now = new Map(rows.map((row) => [String(row.name), new Map(((row.options ?? []) as string[]).map((option): [string, string] => [option.slice(0, option.indexOf("=")), option.slice(option.indexOf("=") + 1)]))])); // text[]
    const differing = expectedSchema.filter(({ kind, table, name, definition }) => kind === "setting" && now.has(table) && Number(now.get(table)?.get(name) ?? Number.NaN) !== Number(definition));
    const seen: Seen[] = [...new Set(differing.map(({ table }) => table))].map((table) => {
      const settings = differing.filter((item) => item.table === table);
      const said = settings.map(({ name, definition }) => `${name} is ${now.get(table)?.get(name) ?? "not set"} (ours: ${definition})`).join(", ");
      return warning(`${table}: ${said}.`, `alter table ${table} set (${settings.map(({ name, definition }) => `${name} = ${definition}`).join(", ")});`);
    });
    for (const [table, options] of now) {
      if (["false", "off", "0", "no"].includes(options.get("autovacuum_enabled") ?? "")) seen.push(problem(`autovacuum is off for ${table}: it grows without end.`, `alter table ${table} reset (autovacuum_enabled);`));
    }
    return seen.length > 0 ? seen : [ok("vacuum and fillfactor of our tables are set as the migrations do.")];
  },
};

export const autovacuum: Check = {
  name: "autovacuum",
  needsTables: false,
  async run({ sql }) {
    const [row] = await sql.query(
      `select current_setting('autovacuum')::boolean as vacuum, current_setting('track_counts')::boolean as counts,
         (select setting::int from pg_settings where name = 'autovacuum_naptime') as nap`,
    );
    const [vacuum, counts, nap] = [row?.vacuum === true, row?.counts === true, Number(row?.nap)];
    if (!vacuum || !counts) {
      return [problem(`${vacuum ? "track_counts" : "autovacuum"} is off in the server: no table is vacuumed by itself.`, `alter system set ${vacuum ? "track_counts" : "autovacuum"} = on;\nselect pg_reload_conf();`)];
    }
    return [nap > 60 ? warning(`autovacuum_naptime is ${nap} s: between two visits thousands of jobs leave their dead rows.`, "alter system set autovacuum_naptime = '30s';\nselect pg_reload_conf();") : ok(`on, every ${nap} s.`)];
  },
};

/** So many times the number at which autovacuum comes by our settings: it has not, or it could not remove them. */
const lateBy = 10;

export const deadRows: Check = {
  name: "dead rows",
  needsTables: true,
  async run({ sql, standby }) {
    if (standby) return [notice("not known on a standby.")];
    const rows = await sql.query(
      `select relname as table, n_dead_tup::float8 as dead, n_live_tup::float8 as live,
         extract(epoch from clock_timestamp() - greatest(last_vacuum, last_autovacuum))::float8 * 1000 as vacuumed_ms,
         extract(epoch from clock_timestamp() - greatest(last_analyze, last_autoanalyze))::float8 * 1000 as analyzed_ms
       from pg_stat_all_tables
       where relid = any (array(select to_regclass(name)::oid from unnest($1::text[]) as own (name)))
       order by relname`,
      [ownTables],
    );
    const seen = rows.flatMap((row): Seen[] => {
      const [table, dead, live] = [String(row.table), Number(row.dead), Number(row.live)];
      const vacuumed = row.vacuumed_ms === null ? "never" : `${spoken(Number(row.vacuumed_ms))} ago`;
      const long = row.vacuumed_ms === null || Number(row.vacuumed_ms) > hourMs;
      if (dead > lateBy * (1000 + 0.01 * live)) {
        const why = long ? "Is autovacuum held up by a lock, or are its workers busy elsewhere?" : "It has come, but could not remove them: look at the sessions that hold old snapshots.";
        return [(dead > 1_000_000 && dead > live ? problem : warning)(`${table} has ${Math.round(dead)} dead rows for ${Math.round(live)} living ones; vacuumed ${vacuumed}. ${why}`, `vacuum (analyze) ${table};`)];
      }
      if (live > 10_000 && row.analyzed_ms === null) return [notice(`${table} has ${Math.round(live)} rows and was never analyzed: the estimates of stats are rough.`, `analyze ${table};`)];
      return [];
    });
    const outbox = rows.find((row) => row.table === "outbox");
    return seen.length > 0 ? seen : [ok(`outbox has ${Math.round(Number(outbox?.dead ?? 0))} for ${Math.round(Number(outbox?.live ?? 0))} living ones; none of our tables is behind.`)];
  },
};
