// Whether the outbox can do its work: reachable, migrated, nothing stuck, nothing that an alert is configured for. The
// alerts are in health-alerts.ts.

import type { Alerts } from "../outbox/alerts.ts";
import type { Database, Row, Sql } from "../outbox/database.ts";
import { oldestDue, stuckJobs, unhandledTypes } from "../outbox/inspect.ts";
import { countStatuses } from "../outbox/inspect-stats.ts";
import type { Status } from "../outbox/job.ts";
import { statuses } from "../outbox/job.ts";
import { isTimeout } from "../outbox/reading.ts";
import { postgres, unreachable } from "./database.ts";
import { alertProblems } from "./health-alerts.ts";
import { migrationStatus } from "./migrate.ts";

/** A job that is processing for longer than this is stuck, unless `alerts.stuck` says when it is. */
export const stuckAfterMs = 10 * 60 * 1000;
const statementTimeoutMs = 10_000;

export interface Health {
  readonly healthy: boolean;
  /** What is wrong, one sentence each, with what to do. */
  readonly problems: readonly string[];
  /** Null: not reachable. */
  readonly serverVersion: string | null;
  readonly migrations: { readonly applied: number; readonly pending: readonly string[]; readonly failed: readonly string[] } | null;
  /** Null: not reachable, or so slow a database that they could not be counted in 10 s. */
  readonly counts: Readonly<Record<Status, number>> | null;
  /** Statuses whose number is an estimate, because the table is large: a check that is asked all the time must not read all of it. */
  readonly estimated: readonly Status[];
  readonly oldestDue: { readonly id: string; readonly type: string; readonly runAt: Date; readonly ageMs: number } | null;
  readonly stuck: readonly { readonly id: string; readonly type: string; readonly since: Date; readonly workerAlive: boolean }[];
  /** Types of pending jobs that have no handler here. */
  readonly unhandled: readonly { readonly type: string; readonly count: number }[];
}

const unknown: Omit<Health, "problems"> = { healthy: false, serverVersion: null, migrations: null, counts: null, estimated: [], oldestDue: null, stuck: [], unhandled: [] };

export interface HealthOptions {
  /** The thresholds that are configured. Default: none. */
  readonly alerts?: Alerts | null;
  readonly timeoutMs?: number;
}

/** Never throws for what it finds: an unreachable database is an answer too. */
export async function checkHealth(url: string, migrations: string, handledTypes: readonly string[], { alerts = null, timeoutMs = statementTimeoutMs }: HealthOptions = {}): Promise<Health> {
  const database = postgres(url, { maxConnections: 1, statementTimeoutMs: timeoutMs });
  try {
    return await examine(database, url, migrations, { handledTypes, alerts });
  } finally {
    await database.close();
  }
}

async function examine(database: Database, url: string, migrationsFolder: string, { handledTypes, alerts }: { readonly handledTypes: readonly string[]; readonly alerts: Alerts | null }): Promise<Health> {
  let server: Row | undefined;
  try {
    [server] = await database.query(`select current_setting('server_version') as version`);
  } catch (error) {
    return { ...unknown, problems: [unreachable(error)] };
  }
  const serverVersion = String(server?.version);
  const status = await migrationStatus(url, migrationsFolder);
  const migrations = { applied: status.applied.length, pending: status.pending, failed: status.failed.map(({ name }) => name) };
  if (status.failed.length > 0 || status.pending.length > 0) {
    return {
      ...unknown,
      serverVersion,
      migrations,
      problems: [
        ...migrations.failed.map((name) => `The migration ${name} has failed. \`npm run app:cli migrate\` says with what.`),
        ...(migrations.pending.length > 0 ? [`${migrations.pending.length} migrations are not applied (${migrations.pending.join(", ")}). Run \`npm run app:cli migrate\`.`] : []),
      ],
    };
  }
  const stuck = await stuckJobs(database, stuckAfterMs, 20);
  const ownRules = alerts?.rules.some(({ kind }) => kind === "stuck") === true;
  const stuckProblems = (ownRules ? [] : stuck).map(({ id, type, since, workerAlive }) =>
    workerAlive
      ? `${type} ${id} has been processing since ${since.toISOString()} by a worker that is alive: look at its handler and time limit.`
      : `${type} ${id} has been processing since ${since.toISOString()} and its worker is gone. The next drain or worker rescues it: \`npm run app:cli jobs:drain\`.`,
  );
  const problems = [...stuckProblems, ...(alerts === null ? [] : await alertProblems(database, alerts))];
  return {
    healthy: problems.length === 0,
    problems,
    serverVersion,
    migrations,
    ...(await countsInTime(database)),
    oldestDue: await oldestDue(database),
    stuck,
    unhandled: await unhandledTypes(database, handledTypes),
  };
}

/** That counting takes long says nothing about health, so the other answers do without it. */
async function countsInTime(sql: Sql): Promise<Pick<Health, "counts" | "estimated">> {
  try {
    const counted = await countStatuses(sql);
    return {
      counts: Object.fromEntries(statuses.map((status) => [status, counted[status].count])) as Record<Status, number>, // one entry for each
      estimated: statuses.filter((status) => counted[status].estimated),
    };
  } catch (error) {
    if (isTimeout(error)) return { counts: null, estimated: [] };
    throw error;
  }
}
