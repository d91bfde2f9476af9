// A Postgres of the rig's own that may crash: one for each lane, so that nobody else is hit. It is made without fsync:
// `pg_ctl stop -m immediate` ends Postgres as a crash does, but the operating system lives on, and keeps what was written.

import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { resetEmbedded, startEmbedded } from "../../src/service/embedded.ts";
import { installedBinaries, prepareBinaries } from "../../src/service/embedded/binaries.ts";
import { findPlace } from "../../src/service/embedded/place.ts";
import { runProgram } from "../../src/service/embedded/program.ts";
import { migrate } from "../../src/service/migrate.ts";
import type { TestDatabase } from "../support/databases.ts";
import { createDatabase } from "../support/databases.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, "var/chaos/postgres");
const template = "chaos_template";
const startAgainMs = 20_000;

export interface Server {
  /** A new database, with the outbox's tables. */
  database(name: string): Promise<TestDatabase>;
  /** Ends it as a crash does, and starts it again after `downMs`. Gives back when it began and when it answered again. */
  crash(downMs: number): Promise<{ began: Date; ended: Date }>;
  /** Stops it, and deletes its data. */
  close(): Promise<void>;
}

export async function openServer(lane: number): Promise<Server> {
  const dataDir = join(folder, `${process.pid}-${lane}`);
  // To stay: a connection that is held until the end, as others hold one, would not survive the first crash.
  const { url: adminUrl } = await startEmbedded({ dataDir, settings: { fsync: "off", full_page_writes: "off", max_connections: "200" } });
  await asAdmin(adminUrl, (admin) => admin.query(`create database ${template}`));
  await migrate(at(adminUrl, template), join(root, "prisma/migrations"));

  const place = await findPlace(dataDir);
  const binaries = await prepareBinaries(installedBinaries(), place.user);
  const pgCtl = (...args: string[]) => runProgram(binaries, "pg_ctl", [...args, "--wait", "--silent", "--pgdata", place.data, "--log", place.log], { user: place.user, timeoutMs: startAgainMs });

  async function startAgain(): Promise<void> {
    const deadline = performance.now() + startAgainMs;
    for (;;) {
      const { ok, output } = await pgCtl("start");
      if (ok) return;
      // A connection of somebody's may have the port for a moment.
      if (performance.now() > deadline) throw new Error(`Postgres did not start again within ${startAgainMs} ms (its log is ${place.log}): ${output}`);
      await sleep(200);
    }
  }

  return {
    database: (name) => createDatabase({ adminUrl, runId: `chaos_${name}` }, `template ${template}`),
    async crash(downMs) {
      const began = new Date();
      await pgCtl("stop", "--mode", "immediate");
      await sleep(downMs);
      await startAgain();
      return { began, ended: new Date() };
    },
    async close() {
      await resetEmbedded(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Those of rigs that were killed. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number(name.split("-")[0]);
    if (isAlive(pid)) continue;
    await resetEmbedded(join(folder, name));
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // nobody has this id
  }
}

async function asAdmin(url: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await admin.connect();
  await work(admin).finally(() => admin.end());
}

function at(url: string, database: string): string {
  const there = new URL(url);
  there.pathname = `/${database}`;
  return there.href;
}
