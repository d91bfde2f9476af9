// A Postgres of our own for when there is no DATABASE_URL: started when somebody needs it, shared by all processes that
// use the same folder, stopped by the last. Next: embedded/cluster.ts (what is done), embedded/lock.ts (one at a time).

import { access, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";
import { OutboxError } from "../outbox/errors.ts";
import { installedBinaries, prepareBinaries } from "./embedded/binaries.ts";
import { isCluster, makeCluster, startCluster, stopCluster } from "./embedded/cluster.ts";
import { connectToRunning, portOfServer, removeStalePidFile, type Connection } from "./embedded/connection.ts";
import { withLock } from "./embedded/lock.ts";
import { findPlace, makePlace, type Place } from "./embedded/place.ts";
import type { Settings } from "./embedded/settings.ts";

export interface EmbeddedOptions {
  /** The folder for the data, the password and the log. */
  readonly dataDir: string;
  /** Whether the server goes on when its last user has closed it. */
  readonly keepRunning?: boolean;
  /** Settings of Postgres, such as max_connections. They count when this call starts the server. */
  readonly settings?: Settings;
}

export interface EmbeddedServer {
  readonly url: string;
  readonly port: number;
  /** True when this call started it, false when it was running. */
  readonly started: boolean;
  /** Where the data really is: root's may have had to go elsewhere. */
  readonly dataDir: string;
  /** Gives it up; the last user's close stops the server. */
  close(): Promise<void>;
}

/**
 * Every user holds one connection for as long as it uses the server. A user that is killed loses it with its life, so
 * there is no count of users that could be wrong.
 */
const holderName = "postcommit-embedded-holder";

export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const place = await makePlace(options.dataDir);
  const { holder, started } = await withLock(place, async () => {
    const running = await connectToRunning(place, holderName);
    const holder = running ?? (await start(place, options.settings ?? {}));
    if (options.keepRunning === true) await writeFile(place.keepRunning, "");
    return { holder, started: running === null };
  });
  let closed: Promise<void> | null = null;
  return {
    url: holder.url,
    port: holder.port,
    started,
    dataDir: place.home,
    close: () => (closed ??= withLock(place, () => leave(place, holder))),
  };
}

async function start(place: Place, settings: Settings): Promise<Connection> {
  const binaries = await prepareBinaries(installedBinaries(), place.user);
  await makeCluster(place, binaries, settings);
  await removeStalePidFile(place);
  // It belonged to the server before, which did not live until it was told to stop.
  await rm(place.keepRunning, { force: true });
  await startCluster(place, binaries, settings);
  try {
    const holder = await connectToRunning(place, holderName);
    if (holder === null) throw new OutboxError("DATABASE_UNREACHABLE", `The embedded Postgres in ${place.home} stopped as soon as it had started. Its log is ${place.log}.`);
    return holder;
  } catch (error) {
    await stopCluster(place, binaries);
    throw error;
  }
}

async function leave(place: Place, holder: Connection): Promise<void> {
  await holder.client.end();
  if (await exists(place.keepRunning)) return;
  const asking = await connectToRunning(place, "postcommit-embedded-asking");
  if (asking === null) return;
  const used = await isUsed(asking.client, holder.backendPid).finally(() => asking.client.end());
  if (!used) await stopCluster(place, await prepareBinaries(installedBinaries(), place.user));
}

/** Connections that were closed a moment ago are still listed for a moment. */
const closingMs = 2_000;

async function isUsed(client: pg.Client, leaving: number): Promise<boolean> {
  const deadline = performance.now() + closingMs;
  for (;;) {
    const { rows } = await client.query<{ name: string }>(
      `select application_name as name from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and pid <> $1`,
      [leaving],
    );
    if (rows.length === 0) return false;
    if (rows.some(({ name }) => name === holderName) || performance.now() >= deadline) return true;
    await pause(50);
  }
}

/** Starts it to stay: until stopEmbedded, or the end of the machine. */
export async function startEmbedded(options: Omit<EmbeddedOptions, "keepRunning">): Promise<Omit<EmbeddedServer, "close">> {
  const server = await openEmbedded({ ...options, keepRunning: true });
  await server.close();
  return server;
}

/** Stops it, whoever uses it. False when it was not running. */
export async function stopEmbedded(dataDir: string): Promise<boolean> {
  const place = await findPlace(dataDir);
  if (!(await exists(place.home))) return false;
  return withLock(place, () => stop(place));
}

/** Stops it and deletes its data, password and log. */
export async function resetEmbedded(dataDir: string): Promise<void> {
  const place = await findPlace(dataDir);
  if (!(await exists(place.home))) return;
  await withLock(place, async () => {
    await isCluster(place); // Throws when something else is there.
    await stop(place);
    const half = (await readdir(place.home)).filter((name) => name.startsWith("making-")).map((name) => join(place.home, name));
    for (const path of [place.data, place.password, place.settings, place.log, `${place.log}.old`, ...half]) {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    }
  });
}

async function stop(place: Place): Promise<boolean> {
  await rm(place.keepRunning, { force: true });
  if ((await portOfServer(place)) === null) return false;
  await stopCluster(place, await prepareBinaries(installedBinaries(), place.user));
  return true;
}

export type EmbeddedStatus = { readonly dataDir: string } & (
  | { readonly state: "new" | "stopped" }
  | { readonly state: "running"; readonly url: string; readonly port: number; readonly version: string; readonly keepRunning: boolean; readonly connections: number }
);

/** Looks, and changes nothing. */
export async function embeddedStatus(dataDir: string): Promise<EmbeddedStatus> {
  const place = await findPlace(dataDir);
  if (!(await isCluster(place))) return { dataDir: place.home, state: "new" };
  const connection = await connectToRunning(place, "postcommit-embedded-status", 5_000);
  if (connection === null) return { dataDir: place.home, state: "stopped" };
  const { client, port, url } = connection;
  try {
    const { rows } = await client.query<{ version: string; connections: number }>(
      `select current_setting('server_version') as version, count(*)::int as connections from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()`,
    );
    return { dataDir: place.home, state: "running", url, port, keepRunning: await exists(place.keepRunning), version: rows[0]?.version ?? "", connections: rows[0]?.connections ?? 0 };
  } finally {
    await client.end();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
