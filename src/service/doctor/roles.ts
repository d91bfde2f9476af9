// What is set on roles and on the database, for every session that they begin: the app's and the engine's.

import type { Sql } from "../../outbox/database.ts";
import { isPooled } from "../database.ts";
import { visible } from "../visible.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedName, warning } from "./look.ts";

const utcNames = /^((Etc\/)?(UTC|UCT|Universal|Zulu|GMT|Greenwich|GMT[+-]?0)|0)$/i;

export const timeZones: Check = {
  name: "time zones",
  needsTables: true,
  async run({ sql, databaseName }) {
    const [server] = await sql.query("select reset_val as zone from pg_settings where name = 'TimeZone'");
    const settings = (await settingsOf(sql)).filter(({ name }) => name === "timezone");
    const writers = await sql.query(
      `select rolname as name
       from pg_roles
       where rolcanlogin and has_any_column_privilege(rolname, 'outbox', 'insert')
       order by rolname
       limit 1000`,
    );
    // The more particular one wins: the role in this database, the role, the database, the server.
    const zoneOf = (role: string) =>
      settings.find((each) => each.role === role && each.database === databaseName)?.value ??
      settings.find((each) => each.role === role && each.database === null)?.value ??
      settings.find((each) => each.role === null && each.database === databaseName)?.value ??
      settings.find((each) => each.role === null && each.database === null)?.value ??
      String(server?.zone);
    const others = writers.map((row) => String(row.name)).filter((role) => !utcNames.test(zoneOf(role)));
    if (others.length === 0) return [ok("sessions of every role that may enqueue begin in UTC, as far as role, database and server say.")];
    const shown = others.slice(0, 5).map((role) => `${visible(role)} (${visible(zoneOf(role))})`).join(", ");
    const fix = others.length === writers.length ? `alter database ${quotedName(databaseName)} set timezone = 'UTC';` : others.map((role) => `alter role ${quotedName(role)} in database ${quotedName(databaseName)} set timezone = 'UTC';`).join("\n");
    return [warning(`sessions of ${shown}${others.length > 5 ? ` and ${others.length - 5} more` : ""} do not begin in UTC: Prisma's adapter-pg writes Dates without their offset, so a runAt that an app writes with its client is off by it.`, `${fix}\n-- or options: "-c timezone=UTC" in the app's adapter`)];
  },
};

/** Time limits below this break off what the engine does, or its connections. */
const shortMs = 10_000;

export const roleSettings: Check = {
  name: "role settings",
  needsTables: false,
  async run({ sql, url, role, databaseName }) {
    const own = (await settingsOf(sql)).filter((each) => (each.role === null || each.role === role) && (each.database === null || each.database === databaseName));
    const pooled = isPooled(url);
    const seen = own.flatMap(({ name, value, role: ofRole }): Seen[] => {
      const where = ofRole === null ? `database ${quotedName(databaseName)}` : `role ${quotedName(ofRole)}`;
      const reset = `alter ${where} reset ${name};${ofRole === null ? "" : ` -- or: alter ${where} in database ${quotedName(databaseName)} reset ${name};`}`;
      const said = `${name} = ${visible(value)} is set on ${where}`;
      const ms = millisecondsOf(value);
      switch (name) {
        case "default_transaction_read_only":
          return value === "on" ? [problem(`${said}: nothing can be written.`, reset)] : [];
        case "default_transaction_isolation":
          if (value === "read committed") return [];
          return [pooled ? warning(`${said}: behind a pooler the engine's single statements run so, and fail when they meet.`, reset) : notice(`${said}; the engine's own sessions ask for read committed. An app's transactions that enqueue jobs with ordering keys leave the order to the next drain.`)];
        case "datestyle":
          return pooled && !/^"?iso/i.test(value) ? [problem(`${said}: behind a pooler the engine's sessions write instants so, and it reads them as ISO.`, reset)] : [];
        case "statement_timeout":
          if (ms === 0 || ms >= shortMs) return [];
          return [pooled ? warning(`${said}: behind a pooler it holds for the engine too. A claim seldom takes as long; a prune and a count may.`, reset) : notice(`${said}; the engine's own sessions ask for 60 s.`)];
        case "lock_timeout":
          return ms === 0 || ms >= shortMs ? [] : [warning(`${said}: an enqueue that waits for another of its ordering key fails after that, and its transaction with it.`, reset)];
        case "idle_in_transaction_session_timeout":
        case "transaction_timeout":
          return ms === 0 || ms >= shortMs ? [] : [warning(`${said}: a handler that is slow inside ctx.complete loses its transaction.`, reset)];
        case "idle_session_timeout":
          return ms === 0 || ms >= 60_000 ? [] : [warning(`${said}: the connections by which workers beat and are woken are ended again and again.`, reset)];
        default:
          return [];
      }
    });
    return seen.length > 0 ? seen : [ok(`nothing is set on ${role} or ${databaseName} that would be in the engine's way.`)];
  },
};

export const publicCreate: Check = {
  name: "schema rights",
  needsTables: true,
  async run({ sql }) {
    const [row] = await sql.query(
      `select relnamespace::regnamespace::text as name, has_schema_privilege('public', relnamespace, 'create') as open
       from pg_class
       where oid = 'outbox'::regclass`,
    );
    if (row?.open !== true) return [ok("not everybody may create things beside our tables.")];
    return [warning(`every role may create tables and functions in the schema ${String(row.name)}, the default before PostgreSQL 15: the roles of \`doctor --grants\` too.`, `revoke create on schema ${String(row.name)} from public;`)];
  },
};

interface Setting {
  readonly name: string;
  readonly value: string;
  /** Null: all roles. */
  readonly role: string | null;
  /** Null: all databases. */
  readonly database: string | null;
}

async function settingsOf(sql: Sql): Promise<Setting[]> {
  const rows = await sql.query(
    `select lower(split_part(setting, '=', 1)) as name, substr(setting, strpos(setting, '=') + 1) as value, rolname as role, datname as database
     from pg_db_role_setting
     cross join unnest(setconfig) as setting
     left join pg_roles on pg_roles.oid = setrole
     left join pg_database on pg_database.oid = setdatabase
     where (setrole = 0 or rolname is not null) and (setdatabase = 0 or datname = current_database())`,
  );
  return rows.map((row) => ({ name: String(row.name), value: String(row.value), role: row.role as string | null, database: row.database as string | null })); // names, or null by the left joins
}

/** Postgres keeps what was written: "200ms", "5min", or milliseconds. */
function millisecondsOf(value: string): number {
  const [, number, unit = "ms"] = /^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*$/.exec(value) ?? [];
  const size = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? 1;
  return number === undefined ? 0 : Number(number) * size;
}
