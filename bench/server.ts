// The throw-away Postgres: started with default durability (fsync and synchronous_commit on), deleted at the end. A fresh
// database for every contender and row. Next: process.ts (the processes that are measured).

import { readFile, rm } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { embeddedStatus, openEmbedded, resetEmbedded, root } from "./internals.ts";

export interface Server {
  readonly version: string;
  readonly log: string;
  /** Makes an empty database and gives back its URL. */
  createDatabase(name: string): Promise<string>;
  /** Makes a copy of a database to which nobody is connected. */
  copyDatabase(url: string): Promise<string>;
  dropDatabase(url: string): Promise<void>;
  /** What the whole server has used of the processors since it started: backends, vacuum, WAL writer. Null where /proc is not. */
  cpuMs(): Promise<number | null>;
  close(): Promise<void>;
}

export type ServerSettings = Readonly<Record<string, string>>;

/** One for nearly everything; another for the row that needs a library in the server. */
type ServerName = "postgres" | "postgres-other";
const workDir = join(root, "bench/var");
const dataDirOf = (name: ServerName): string => join(workDir, name);
/** Those that this process has begun to make: another process's are left alone. */
const ours = new Set<ServerName>();

/** Stops and deletes whatever there is of them, and the folder that they and the bundles are in. */
export async function removeServers(): Promise<void> {
  if (ours.size === 0) return;
  for (const name of ours) await resetEmbedded(dataDirOf(name));
  await rm(workDir, { recursive: true, force: true });
}

export async function openServer(name: ServerName, settings: ServerSettings = {}): Promise<Server> {
  const dataDir = dataDirOf(name);
  const status = await embeddedStatus(dataDir);
  if (status.state === "running" && status.connections > 0) throw new Error(`Another benchmark is using the Postgres in ${dataDir}. Two at once would measure each other.`);
  ours.add(name);
  await resetEmbedded(dataDir); // what a killed run left behind
  const embedded = await openEmbedded({ dataDir, settings: { max_connections: "200", ...settings } });
  const admin = new pg.Client({ connectionString: embedded.url });
  admin.on("error", () => undefined); // the server is stopped under it when the benchmark is interrupted
  await admin.connect();
  const { rows } = await admin.query<{ version: string; fsync: string; commit: string }>(
    "select current_setting('server_version') as version, current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit",
  );
  const [facts] = rows;
  if (facts?.fsync !== "on" || facts.commit !== "on") throw new Error(`Expected fsync and synchronous_commit to be on, got ${JSON.stringify(facts)}.`);
  const postmaster = Number((await readFile(join(embedded.dataDir, "data/postmaster.pid"), "utf8")).split("\n")[0]);
  let databases = 0;
  let closing: Promise<void> | null = null;

  const urlOf = (database: string) => {
    const url = new URL(embedded.url);
    url.pathname = `/${database}`;
    return url.href;
  };
  const databaseOf = (url: string) => new URL(url).pathname.slice(1);

  async function shut(): Promise<void> {
    await admin.end().catch(() => undefined);
    await embedded.close();
    await resetEmbedded(dataDir);
    await rm(embedded.dataDir, { recursive: true, force: true });
    await rm(dataDir, { recursive: true, force: true });
  }

  return {
    version: facts.version,
    log: join(embedded.dataDir, "server.log"),
    async createDatabase(name) {
      databases += 1;
      const database = `${name.replaceAll(/[^a-z0-9]+/g, "_")}_${databases}`;
      await admin.query(`create database ${pg.escapeIdentifier(database)}`);
      return urlOf(database);
    },
    async copyDatabase(url) {
      databases += 1;
      const copy = `${databaseOf(url)}_copy_${databases}`;
      await admin.query(`create database ${pg.escapeIdentifier(copy)} template ${pg.escapeIdentifier(databaseOf(url))}`);
      return urlOf(copy);
    },
    async dropDatabase(url) {
      await admin.query(`drop database ${pg.escapeIdentifier(databaseOf(url))} with (force)`);
    },
    cpuMs: () => cpuOf(postmaster),
    close: () => (closing ??= shut()),
  };
}

const ticksPerSecond = 100; // USER_HZ, which Linux fixes at 100 for what /proc tells

/** The postmaster's own time, that of children it has reaped, and that of children that live. */
async function cpuOf(postmaster: number): Promise<number | null> {
  try {
    const children = (await readFile(`/proc/${postmaster}/task/${postmaster}/children`, "utf8")).trim().split(" ").filter(Boolean);
    const ticks = await Promise.all([ticksOf(postmaster, true), ...children.map((pid) => ticksOf(Number(pid), false).catch(() => 0))]);
    return (ticks.reduce((sum, each) => sum + each, 0) * 1000) / ticksPerSecond;
  } catch {
    return null; // not Linux, or a kernel without the list of children
  }
}

async function ticksOf(pid: number, reaped: boolean): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  // The second field is a name in parentheses, which may hold spaces; utime is the 14th.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15);
  return user + system + (reaped ? childrenUser + childrenSystem : 0);
}

export function machineFacts(): { cores: number; processor: string; node: string; platform: string } {
  const all = cpus();
  return { cores: all.length, processor: all[0]?.model ?? "unknown", node: process.version, platform: `${process.platform} ${process.arch}` };
}
