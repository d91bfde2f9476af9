// The server itself: its version, whether it can be written to, and what all its users share.

import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedName, warning } from "./look.ts";

/** Majors that the migrations and statements are written for. */
const oldest = 13;
const newest = 18;

export const server: Check = {
  name: "server",
  needsTables: false,
  async run({ sql, serverVersion, standby, role, databaseName }) {
    const [row] = await sql.query(`select current_setting('server_version') as version, coalesce(host(inet_server_addr()), 'a socket') as host`);
    const major = Math.floor(serverVersion / 10_000);
    const name = `PostgreSQL ${String(row?.version)} at ${String(row?.host)}, database ${databaseName}, as ${role}`;
    if (standby) return [problem(`${name}: a hot standby, which can only be read. Jobs cannot run or be enqueued here.`, "point DATABASE_URL at the primary")];
    if (major < oldest) return [problem(`${name}: expected version ${oldest} or later.`)];
    if (major > newest) return [notice(`${name}: newer than what this program was tested with (${newest}).`)];
    return [ok(`${name}.`)];
  },
};

export const connections: Check = {
  name: "connections",
  needsTables: false,
  async run({ sql, databaseName, role }) {
    const [row] = await sql.query(
      `select
         (select sum(numbackends) from pg_stat_database)::int as used,
         current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true), '0')::int as room,
         (select numbackends from pg_stat_database where datname = current_database()) as database_used,
         (select datconnlimit from pg_database where datname = current_database()) as database_room,
         (select count(*)::int from pg_stat_activity where usename = current_user) as role_used,
         (select rolconnlimit from pg_roles where rolname = current_user) as role_room`,
    );
    const limits = [
      { of: "the server", used: Number(row?.used), room: Number(row?.room), raise: "alter system set max_connections = …; -- takes a restart; or put PgBouncer before it" },
      { of: `the database ${databaseName}`, used: Number(row?.database_used), room: Number(row?.database_room), raise: `alter database ${quotedName(databaseName)} connection limit -1;` },
      { of: `the role ${role}`, used: Number(row?.role_used), room: Number(row?.role_room), raise: `alter role ${quotedName(role)} connection limit -1;` },
    ].filter(({ room }) => room >= 0);
    const seen = limits.flatMap(({ of, used, room, raise }): Seen[] => {
      if (used < room * 0.8) return [];
      return [(used >= room * 0.95 ? problem : warning)(`${used} of ${room} connections of ${of} are in use: when none is left, workers lose their leases.`, `select application_name, usename, state, count(*) from pg_stat_activity group by 1, 2, 3 order by 4 desc;\n${raise}`)];
    });
    return seen.length > 0 ? seen : [ok(limits.map(({ of, used, room }) => `${used} of ${room} of ${of}`).join(", ") + ".")];
  },
};

export const notificationQueue: Check = {
  name: "notification queue",
  needsTables: false,
  async run({ sql, standby }) {
    if (standby) return [notice("there is none on a standby.")];
    const [row] = await sql.query("select pg_notification_queue_usage()::float8 as usage");
    const usage = Number(row?.usage);
    const said = `${Math.round(usage * 1000) / 10} % full.`;
    if (usage < 0.1) return [ok(said)];
    return [
      (usage >= 0.5 ? problem : warning)(
        `${said} Some session listens and has not ended its transaction since. When the queue is full, every commit with a notification fails, enqueues among them.`,
        "select pid, usename, application_name, xact_start from pg_stat_activity where state like 'idle in transaction%' order by xact_start; -- then pg_terminate_backend(pid)",
      ),
    ];
  },
};
