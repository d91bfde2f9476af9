// The server itself goes away and comes back, as in a crash: SIGQUIT to all of Postgres, recovery at the next start. It is
// a server of this test's own.

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { migrate } from "../../src/service/migrate.ts";
import { appCli, root } from "../support/cli.ts";
import { clearEvidence, layEvidence, violations } from "../support/evidence.ts";
import type { Bouncer } from "../support/pgbouncer.ts";
import { bouncer } from "../support/pgbouncer.ts";
import type { OwnServer } from "../support/servers.ts";
import { embeddedPrograms, ownServer } from "../support/servers.ts";
import { until } from "../support/until.ts";

let server: OwnServer;
let between: Bouncer | null = null;
let pool: pg.Pool;
let env: Record<string, string>;
beforeAll(async () => {
  server = await ownServer(inject("programs") ?? (await embeddedPrograms()));
  await migrate(server.url, `${root}/prisma/migrations`);
  pool = new pg.Pool({ connectionString: server.url, max: 2 });
  pool.on("error", () => undefined);
  await layEvidence(pool);
  if (inject("pooler") !== null) between = await bouncer(server.url);
  env = { DATABASE_URL: between === null ? server.url : `${between.url}?pgbouncer=true`, EFFECTS_URL: server.url };
});
afterAll(async () => {
  await pool.end();
  await between?.close();
  await server.close();
});

const count = async (from: string) => (await pool.query(`select from ${from}`)).rowCount ?? 0;
const downMs = 5000;

it.each(["jobs:drain", "jobs:worker"])("Postgres crashes in the middle of a batch and is down for 5 s: %s goes on by itself, and every job ends", { timeout: 120_000 }, async (command) => {
  await clearEvidence(pool);
  await pool.query(`insert into outbox (type, payload) select 'effect', jsonb_build_object('then', (array['return', 'complete', 'once', 'sleep'])[n % 4 + 1], 'ms', 100, 'attempt', 1) from generate_series(1, 80) as n`);
  const running = appCli([command, "--batch", "4", "--concurrency", "4", "--lease", "20s"], env);
  try {
    await until("it is in the middle", async () => (await count("effects")) >= 12, 30_000);
    const began = new Date();
    await server.stop("immediate");
    await sleep(downMs); // this is the fault itself
    await server.start();
    await until("it answers", () => pool.query("insert into crashes values ($1, clock_timestamp())", [began]).then(() => true, () => false));
    await until("all are done", async () => (await count("outbox where status = 'done'")) === 80, 60_000);
    if (command === "jobs:worker") running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
    expect(await violations(pool)).toEqual([]);
  } finally {
    running.child.kill("SIGKILL");
    await running.ended;
  }
});
