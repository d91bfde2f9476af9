// Who holds an old snapshot: while somebody does, vacuum removes nothing that has died since, and the tables grow.

import { cut, visible } from "../visible.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedText, spoken, warning } from "./look.ts";

const oldMs = 5 * 60_000;
const tooOldMs = 60 * 60_000;
/** In transactions, where nobody says since when. */
const oldAge = 1_000_000;

const graded = (ms: number) => (ms >= tooOldMs ? problem : warning);

export const snapshots: Check = snapshotsOlderThan(oldMs);

export function snapshotsOlderThan(limitMs: number): Check {
  return {
    name: "snapshots",
    needsTables: false,
    async run({ sql, databaseName, role }) {
      const rows = await sql.query(
        `select pid, usename as user, coalesce(application_name, '') as application, coalesce(', from ' || host(client_addr), '') as client, state, coalesce(query, '') as query,
           xact_start is null as hidden,
           extract(epoch from clock_timestamp() - xact_start)::float8 * 1000 as open_ms, xact_start,
           greatest(age(backend_xmin), age(backend_xid))::float8 as age
         from pg_stat_activity
         where datname = $1 and (backend_xmin is not null or backend_xid is not null)
           and pid <> pg_backend_pid()
           and coalesce(backend_type, '') <> 'autovacuum worker' and coalesce(query, '') !~* '^\\s*(vacuum|create\\s+(unique\\s+)?index\\s+concurrently|reindex)'
         order by greatest(age(backend_xmin), age(backend_xid)) desc
         limit 20`,
        [databaseName],
      );
      const seen: Seen[] = [];
      for (const row of rows) {
        const who = `pid ${String(row.pid)}, user ${visible(String(row.user))}, application "${visible(String(row.application))}"${String(row.client)}`;
        const end = `select pg_terminate_backend(${Number(row.pid)}); -- ends that session and what it was doing: ask its owner first`;
        if (row.hidden === true) {
          if (Number(row.age) > oldAge) seen.push(warning(`${who} has held a snapshot for ${String(row.age)} transactions; since when and what it runs, ${role} may not see.`, `${end}\ngrant pg_read_all_stats to ${role};`));
          continue;
        }
        const ms = Number(row.open_ms);
        if (ms < limitMs) continue;
        const query = cut(visible(String(row.query).slice(0, 400)), 80);
        seen.push(graded(ms)(`${who}: its transaction is open for ${spoken(ms)} (since ${(row.xact_start as Date).toISOString()}), ${String(row.state)}: ${query}`, end)); // timestamptz, not null here
      }
      if (seen.length > 0) return seen;
      const oldest = rows.find((row) => row.hidden !== true);
      const hidden = rows.some((row) => row.hidden === true) ? ` Of other roles' sessions ${role} sees only how many transactions old they are; grant pg_read_all_stats shows the rest.` : "";
      return [ok(`none older than 5 minutes${oldest === undefined ? "" : ` (the oldest: ${spoken(Number(oldest.open_ms))})`}.${hidden}`)];
    },
  };
}

export const preparedTransactions: Check = preparedTransactionsOlderThan(oldMs);

export function preparedTransactionsOlderThan(limitMs: number): Check {
  return {
    name: "prepared transactions",
    needsTables: false,
    async run({ sql, databaseName }) {
      const rows = await sql.query(
        `select gid, owner, extract(epoch from clock_timestamp() - prepared)::float8 * 1000 as ms
         from pg_prepared_xacts
         where database = $1
         order by prepared
         limit 20`,
        [databaseName],
      );
      const seen = rows.filter((row) => Number(row.ms) >= limitMs).map((row) => {
        const gid = String(row.gid);
        return graded(Number(row.ms))(
          `"${visible(gid)}" of ${visible(String(row.owner))} was prepared ${spoken(Number(row.ms))} ago and holds its snapshot and its locks until somebody ends it.`,
          `rollback prepared ${quotedText(gid)}; -- or: commit prepared; its transaction manager knows which`,
        );
      });
      return seen.length > 0 ? seen : [ok(rows.length === 0 ? "none." : `${rows.length}, none older than 5 minutes.`)];
    },
  };
}

export const replicationSlots: Check = {
  name: "replication slots",
  needsTables: false,
  async run({ sql, databaseName }) {
    const rows = await sql.query(
      `select slot_name as name, slot_type as type, active, age(xmin)::float8 as age, xmin is not null as holds, catalog_xmin is not null as holds_catalog
       from pg_replication_slots
       where database is null or database = $1
       order by slot_name`,
      [databaseName],
    );
    const seen = rows.flatMap((row): Seen[] => {
      const name = visible(String(row.name));
      const end = `select pg_drop_replication_slot(${quotedText(name)}); -- its reader starts over from a copy`;
      if (row.holds === true && (row.active !== true || Number(row.age) > oldAge)) {
        return [(row.active === true ? warning : problem)(`the slot ${name} holds a snapshot ${String(row.age)} transactions old, and ${row.active === true ? "its reader is behind" : "nobody reads it"}.`, end)];
      }
      if (row.active !== true) return [warning(`nobody reads the ${String(row.type)} slot ${name}: it keeps all WAL since${row.holds_catalog === true ? ", and dead rows of the catalog" : ""}, until the disk is full.`, end)];
      return [];
    });
    return seen.length > 0 ? seen : [ok(rows.length === 0 ? "none." : `${rows.length}, all read.`)];
  },
};

export const standbys: Check = {
  name: "standbys",
  needsTables: false,
  async run({ sql, role }) {
    const rows = await sql.query(
      `select pid, application_name as application, coalesce(host(client_addr), 'local') as client, age(backend_xmin)::float8 as age, state is null as hidden
       from pg_stat_replication
       order by age(backend_xmin) desc nulls last`,
    );
    if (rows.some((row) => row.hidden === true)) return [notice(`there are ${rows.length}; whether they hold snapshots here (hot_standby_feedback), ${role} may not see.`, `grant pg_read_all_stats to ${role};`)];
    const seen = rows
      .filter((row) => Number(row.age ?? 0) > oldAge)
      .map((row) =>
        warning(
          `the standby "${visible(String(row.application))}" (${String(row.client)}) holds a snapshot ${String(row.age)} transactions old here, by hot_standby_feedback: a query runs long over there.`,
          "-- on that standby: select pid, xact_start, query from pg_stat_activity order by xact_start; or set hot_standby_feedback = off there",
        ),
      );
    return seen.length > 0 ? seen : [ok(rows.length === 0 ? "none connected." : `${rows.length} connected; none holds an old snapshot.`)];
  },
};
