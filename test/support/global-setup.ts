// Runs once before all tests: the build, which the command line is run from, unless it is fresh; a Postgres (TEST_DATABASE_URL, or an embedded one in var/test-postgres), and in it a
// template database with all migrations applied. Next: database.ts, which gives each test file a copy. The same files over
// other servers: setup-pgbouncer.ts, setup-older-postgres.ts.

import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { openEmbedded } from "../../src/service/embedded.ts";
import { migrate } from "../../src/service/migrate.ts";
import type { TestServer } from "./databases.ts";

declare module "vitest" {
  export interface ProvidedContext extends TestServer {
    readonly pooler: string | null; // what is not there is no value that could be injected
    /** The folder with the programs of the Postgres that the tests run on; null: the embedded one's. */
    readonly programs: string | null;
  }
}

const migrations = resolve(import.meta.dirname, "../../prisma/migrations");
const runName = (runId: string): string => `postcommit-test-run-${runId}`;
/** Any number, the same for all runs: one at a time makes templates and clears away. */
const setupLock = 5_092_117;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  project.provide("pooler", null);
  project.provide("programs", null);
  return provide(project, await openTestServer());
}

/** Gives a server to the tests of a project. Gives back what ends that. */
export function provide(project: TestProject, server: TestServer & { close(): Promise<void> }): () => Promise<void> {
  project.provide("adminUrl", server.adminUrl);
  project.provide("template", server.template);
  project.provide("runId", server.runId);
  return () => server.close();
}

/** For the tests, and for commands that do at length what a test does in a slice. */
export async function openTestServer(): Promise<TestServer & { close(): Promise<void> }> {
  await buildProgram();
  return prepared(await openServer());
}

/** The server, with a template database in it. */
export async function prepared(server: { readonly url: string; close(): Promise<void> }): Promise<TestServer & { close(): Promise<void> }> {
  const runId = randomBytes(4).toString("hex");
  // Held to the end: while this connection is there, other runs leave the databases of this one alone.
  const admin = new pg.Client({ connectionString: server.url, application_name: runName(runId), connectionTimeoutMillis: 10_000, keepAlive: true });
  try {
    await admin.connect();
    await admin.query("set statement_timeout = '120s'");
    await admin.query("select pg_advisory_lock($1)", [setupLock]);
    await dropLeftovers(admin);
    const template = await makeTemplate(admin, server.url);
    await admin.query("select pg_advisory_unlock($1)", [setupLock]);
    return {
      adminUrl: server.url,
      template,
      runId,
      async close() {
        await admin.end();
        await server.close();
      },
    };
  } catch (error) {
    await admin.end();
    await server.close();
    throw error;
  }
}

/** Into dist/, as a person would: a start from the sources takes six times as long, and the tests make hundreds. */
export async function buildProgram(): Promise<void> {
  const root = resolve(import.meta.dirname, "../..");
  const isFresh = await import(join(root, "dist/fresh.js")).then((built: { programIsFresh(root: string): Promise<boolean> }) => built.programIsFresh(root), () => false);
  if (!isFresh) await promisify(execFile)(process.execPath, ["--import", "tsx", join(root, "scripts/build.ts"), "--no-types"], { cwd: root });
}

async function openServer(): Promise<{ url: string; close(): Promise<void> }> {
  const url = process.env.TEST_DATABASE_URL;
  if (url) return { url, close: () => Promise.resolve() };
  return openEmbedded({
    dataDir: resolve(import.meta.dirname, "../../var/test-postgres"),
    // A crash of the machine may cost the test databases, and nothing else.
    settings: { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "200" },
  });
}

/** Databases of runs that were killed: nobody is connected to them, and their run's own connection is gone. */
async function dropLeftovers(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `select datname as name from pg_database
      where datname like 'postcommit\\_test\\_%' and pg_get_userbyid(datdba) = current_user
        and not exists (select from pg_stat_activity a where a.datname = pg_database.datname)
        and not exists (select from pg_stat_activity a where a.application_name = 'postcommit-test-run-' || split_part(pg_database.datname, '_', 3))`,
  );
  for (const { name } of rows) await admin.query(`drop database if exists ${pg.escapeIdentifier(name)}`);
}

/** Made under another name and renamed, so that a template that exists is whole. Its name says what is in it. */
async function makeTemplate(admin: pg.Client, url: string): Promise<string> {
  const template = `postcommit_template_${await hashOf(migrations)}`;
  const { rowCount } = await admin.query("select from pg_database where datname = $1", [template]);
  if (rowCount === 1) return template;
  const making = `${template}_making`;
  await admin.query(`drop database if exists ${making} with (force)`);
  await admin.query(`create database ${making}`);
  const makingUrl = new URL(url);
  makingUrl.pathname = `/${making}`;
  await migrate(makingUrl.href, migrations);
  await admin.query(`alter database ${making} rename to ${template}`);
  // Nobody may connect, autovacuum included: a database cannot be copied while somebody is in it.
  await admin.query(`alter database ${template} with allow_connections false`);
  return template;
}

async function hashOf(folder: string): Promise<string> {
  const hash = createHash("sha256");
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".sql")).sort();
  for (const name of names) hash.update(`${name}\0`).update(await readFile(join(folder, name)));
  return hash.digest("hex").slice(0, 12);
}
