// doctor: runs every check and gathers what they have seen. One that fails, waits or may not look hides no other.
// Next: checks.ts (which there are), look.ts (how they look).

import { setTimeout as sleep } from "node:timers/promises";
import type { Database, Sql } from "../../outbox/database.ts";
import { postgres } from "../database.ts";
import type { Finding, Seen } from "./look.ts";
import { notice, readOnly, severities, unseen } from "./look.ts";

/** What is to be examined, as the program knows it. */
export interface Examined {
  readonly url: string;
  /** The folder of the migrations. */
  readonly migrations: string;
  /** The folder of the program, from where its packages are found. */
  readonly root: string;
  /** Types that have a handler here. */
  readonly handled: readonly string[];
  /** Names of the schedules that are declared here. */
  readonly schedules: readonly string[];
}

/** What every check is given. */
export interface Ward extends Examined {
  /** Reads, each statement by itself. */
  readonly sql: Sql;
  /** Connections as the engine makes them, for the checks that are about those. Nothing is to be written through it. */
  readonly engine: Database;
  /** As whom doctor, and so the engine, is connected. */
  readonly role: string;
  readonly databaseName: string;
  /** As in 180004. */
  readonly serverVersion: number;
  readonly standby: boolean;
}

export interface Check {
  readonly name: string;
  /** False: it looks at Postgres or at this machine, and has something to say although our tables are not there. */
  readonly needsTables: boolean;
  run(ward: Ward): Promise<readonly Seen[]>;
}

/** All checks together, however slow the database is. */
const totalMs = 25_000;
const atOnce = 2;

/** Throws when the database cannot be reached; everything else is a finding. The worst comes first. */
export async function examine(examined: Examined, checks: readonly Check[], limitMs = totalMs): Promise<Finding[]> {
  const engine = postgres(examined.url, { maxConnections: atOnce, statementTimeoutMs: 10_000 });
  const deadline = performance.now() + limitMs;
  try {
    const ward = await admit(examined, engine);
    const [found] = await ward.sql.query("select to_regclass('outbox') is not null as found");
    const results = new Map<Check, readonly Seen[]>();
    const waiting = checks.filter((check) => found?.found === true || !check.needsTables);
    const rounds = Array.from({ length: atOnce }, async () => {
      for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
        results.set(check, await seenBy(check, ward, deadline - performance.now()));
      }
    });
    await Promise.all(rounds);
    // In the order of the list within a severity.
    const findings = checks.flatMap((check) => (results.get(check) ?? []).map((seen) => ({ check: check.name, ...seen })));
    return findings.sort((one, other) => severities.indexOf(other.severity) - severities.indexOf(one.severity));
  } finally {
    // A check that was given up may still hold its connection; the process ends without it.
    await Promise.race([engine.close(), sleep(1000, undefined, { ref: false })]);
  }
}

async function admit(examined: Examined, engine: Database): Promise<Ward> {
  const sql = readOnly(engine);
  const [row] = await sql.query(
    `select current_user::text as role, current_database()::text as database, current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby`,
  );
  return { ...examined, sql, engine, role: String(row?.role), databaseName: String(row?.database), serverVersion: Number(row?.version), standby: row?.standby === true };
}

async function seenBy(check: Check, ward: Ward, leftMs: number): Promise<readonly Seen[]> {
  const late = notice("not looked at: the time for all checks was up.");
  if (leftMs < 1) return [late]; // a timer may be that early
  const tooLate = new AbortController();
  try {
    const given = sleep(leftMs, [late], { signal: tooLate.signal });
    return await Promise.race([check.run(ward).catch((error: unknown) => [unseen(error, ward.role)]), given]);
  } finally {
    tooLate.abort();
  }
}
