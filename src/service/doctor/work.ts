// The work itself: does somebody run it, is anything left behind that nobody will come back to?

import { listTypes, maxCounted } from "../../outbox/inspect-types.ts";
import { listSchedules } from "../../outbox/inspect-schedules.ts";
import { listWorkers } from "../../outbox/inspect-workers.ts";
import { stuckAfterMs } from "../health.ts";
import { visible } from "../visible.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, quotedText, spoken, warning } from "./look.ts";

/** A crontab that drains every five minutes has come three times. */
const unattendedMs = 15 * 60_000;

export const unattended: Check = {
  name: "due jobs",
  needsTables: true,
  async run({ sql, handled }) {
    const [row] = await sql.query("select clock_timestamp() as now");
    const now = (row?.now as Date).getTime(); // timestamptz
    const waiting = (await listTypes(sql)).filter(({ type, pausedAt, blockedUntil, nextDueAt }) => handled.includes(type) && pausedAt === null && blockedUntil === null && nextDueAt !== null && nextDueAt.getTime() < now - unattendedMs);
    if (waiting.length === 0) return [ok("none of a type that is handled here has been due for over 15 minutes.")];
    const alive = (await listWorkers(sql)).filter((worker) => worker.alive).length;
    const oldest = Math.min(...waiting.map(({ nextDueAt }) => nextDueAt?.getTime() ?? now));
    const names = waiting.map(({ type }) => visible(type)).join(", ");
    return [
      alive === 0
        ? problem(`jobs of ${names} have been due for up to ${spoken(now - oldest)}, and no worker or drain is there: does the crontab still run?`, "npm run app:cli jobs:drain")
        : warning(`jobs of ${names} have been due for up to ${spoken(now - oldest)}, although ${alive} ${alive === 1 ? "worker is" : "workers are"} there: too few for what comes, or something holds them.`, "npm run app:cli stats   # then jobs:why with the id of one"),
    ];
  },
};

export const lostJobs: Check = {
  name: "lost jobs",
  needsTables: true,
  async run({ sql }) {
    const [row] = await sql.query(
      `select count(*)::float8 as count, extract(epoch from clock_timestamp() - min(coalesce(worker.beat_at, outbox.updated_at)))::float8 * 1000 as ms
       from outbox
       left join outbox_worker as worker on worker.id = outbox.locked_by
       where status = 'processing'
         and (worker.id is null or worker.beat_at < clock_timestamp() - worker.lease_ms * interval '1 millisecond')`,
    );
    const count = Number(row?.count);
    if (count === 0) return [ok("none is processing without a living worker.")];
    const ms = Number(row?.ms);
    return [(ms > stuckAfterMs ? problem : warning)(`${count} processing without a living worker, for up to ${spoken(ms)}: no drain or worker has come to return them.`, "npm run app:cli jobs:drain")];
  },
};

export const types: Check = {
  name: "types",
  needsTables: true,
  async run({ sql, handled }) {
    const waiting = (await listTypes(sql)).filter(({ type, pending }) => pending > 0 && !handled.includes(type));
    if (waiting.length === 0) return [ok("every type of pending jobs has a handler here.")];
    const elsewhere = new Set((await listWorkers(sql)).filter(({ alive }) => alive).flatMap((worker) => worker.types));
    return waiting.map(({ type, pending }) => {
      const said = `${pending >= maxCounted ? `${maxCounted} or more` : pending} pending of "${visible(type)}"`;
      if (elsewhere.has(type)) return notice(`${said}: no handler here, but a living worker has one.`);
      return warning(`${said}: no handler here, and no living worker has one.`, "add a handler in outbox.config.ts, or cancel them if the type is a slip of the pen");
    });
  },
};

const lineMs = 60_000;
const maxLines = 1000;

export const lines: Check = {
  name: "ordering keys",
  needsTables: true,
  async run({ sql }) {
    // From key to key through the index of what waits, and for each a look at what is under way.
    const rows = await sql.query(
      `with recursive line (key) as (
         (select ordering_key from outbox where status = 'waiting' order by ordering_key limit 1)
         union all
         select (select ordering_key from outbox where status = 'waiting' and ordering_key > line.key order by ordering_key limit 1)
         from line
         where line.key is not null
       ),
       head as materialized (
         select line.key,
           (
             select row (status, id)::text
             from outbox
             where ordering_key = line.key and (status in ('pending', 'processing') or status = 'error' and block_on_dead)
             limit 1
           ) as under_way,
           (
             select extract(epoch from clock_timestamp() - updated_at)::float8 * 1000
             from outbox
             where ordering_key = line.key and status = 'waiting'
             order by sequence
             limit 1
           ) as ms
         from (select key from line where key is not null limit $1) as line
       )
       select key, under_way, ms, exists (select from outbox_unpromoted where ordering_key = key) as noted
       from head
       where under_way is null or under_way like '(error,%'
       order by ms desc`,
      [maxLines],
    );
    const blocked = rows.filter((row) => row.under_way !== null);
    const idle = rows.filter((row) => row.under_way === null && Number(row.ms) > lineMs);
    const names = (some: readonly Record<string, unknown>[]) => some.slice(0, 3).map((row) => `"${visible(String(row.key).slice(0, 100))}"`).join(", ") + (some.length > 3 ? ` and ${some.length - 3} more` : "");
    const seen: Seen[] = [];
    const [noted, forgotten] = [idle.filter((row) => row.noted === true), idle.filter((row) => row.noted !== true)];
    if (noted.length > 0) seen.push(warning(`jobs of ${names(noted)} wait for their turn for up to ${spoken(Number(noted[0]?.ms))} with none before them; the next drain or worker lets them go on.`, "npm run app:cli jobs:drain"));
    if (forgotten.length > 0) {
      const keys = forgotten.slice(0, 100).map((row) => `(${quotedText(String(row.key))})`);
      seen.push(problem(`jobs of ${names(forgotten)} wait for their turn for up to ${spoken(Number(forgotten[0]?.ms))} with none before them, and nobody will look again: were triggers disabled?`, `insert into outbox_unpromoted (ordering_key) values ${keys.join(", ")};\n-- then: npm run app:cli jobs:drain`));
    }
    if (blocked.length > 0) seen.push(notice(`jobs of ${names(blocked)} wait behind a dead letter that blocks them until somebody has retried or cancelled it.`, "npm run app:cli errors"));
    return seen.length > 0 ? seen : [ok("no job waits for its turn with none before it.")];
  },
};

/** As for slots: after this time one counts as missed. */
const overdueMs = 10 * 60_000;
const longOverdueMs = 3_600_000;

export const overdueSchedules: Check = {
  name: "schedules",
  needsTables: true,
  async run({ sql, schedules }) {
    const [row] = await sql.query("select clock_timestamp() as now");
    const now = (row?.now as Date).getTime(); // timestamptz
    const listed = (await listSchedules(sql)).filter(({ pausedAt }) => pausedAt === null);
    const seen = listed.flatMap(({ name, nextSlotAt }): Seen[] => {
      const ms = nextSlotAt === null ? 0 : now - nextSlotAt.getTime();
      if (ms < overdueMs) return [];
      const said = `the slot of "${visible(name)}" has been due for ${spoken(ms)}`;
      if (!schedules.includes(name)) return [warning(`${said}, and it is not declared here: another program fires it, or nobody does any longer.`, `npm run app:cli schedules:pause ${/^[\w.:-]+$/.test(name) ? name : "NAME"}`)];
      return [(ms > longOverdueMs ? problem : warning)(`${said}: no drain or worker of this program has run since.`, "npm run app:cli jobs:drain")];
    });
    return seen.length > 0 ? seen : [ok(listed.length === 0 ? "none." : `none of ${listed.length} is overdue.`)];
  },
};
