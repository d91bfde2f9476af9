// Finds the server that runs on a cluster's data, and connects to it. The cluster's postmaster.pid says where it is;
// it may be left over from a server that is no more, or stand in a folder that was copied from another.

import { execFile } from "node:child_process";
import { readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { OutboxError } from "../../outbox/errors.ts";
import { superuser } from "./cluster.ts";
import { readPassword, type Place } from "./place.ts";

const connectTimeoutMs = 5_000;
const queryTimeoutMs = 10_000;

export interface Connection {
  readonly client: pg.Client;
  /** Its process in the server, as pg_stat_activity lists it. */
  readonly backendPid: number;
  readonly port: number;
  readonly url: string;
}

/**
 * A connection to the running server, or null when none runs. One that is starting or stopping is waited for, at most
 * `timeoutMs`. The database is made when it is missing.
 */
export async function connectToRunning(place: Place, applicationName: string, timeoutMs = 60_000): Promise<Connection | null> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const port = await portOfServer(place);
    if (port === null) return null;
    const password = await readPassword(place);
    if (password === null) throw passwordLost(place);
    let problem: unknown = "it has not named its port yet";
    if (port !== "unnamed") {
      const url = `postgresql://${superuser}:${password}@127.0.0.1:${port}/${superuser}`;
      try {
        const client = await connect(url, applicationName);
        const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
        return { client, backendPid: rows[0]?.pid ?? 0, port, url };
      } catch (error) {
        const code = error instanceof pg.DatabaseError ? error.code : undefined;
        if (code === "28P01") throw passwordLost(place, error);
        if (code === "3D000") await makeDatabase(url);
        problem = error;
      }
    }
    if (performance.now() >= deadline) {
      throw new OutboxError("DATABASE_UNREACHABLE", `The embedded Postgres in ${place.home} runs but did not answer within ${timeoutMs / 1000} s: ${String(problem)}. Its log is ${place.log}.`, { cause: problem });
    }
    await pause(100);
  }
}

/** The port of the server that runs on this place's data; "unnamed" while it is starting; null when none runs. */
export async function portOfServer(place: Place): Promise<number | "unnamed" | null> {
  const text = await readFile(pidFile(place), "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return null;
  const [pid, , , port] = text.split("\n");
  if (!(await isPostmasterOf(place, Number(pid)))) return null;
  return Number(port) > 0 ? Number(port) : "unnamed";
}

/** Postgres does not start while a process of the same user has the id in a pid file that was left over, whatever that process is. */
export async function removeStalePidFile(place: Place): Promise<void> {
  if ((await portOfServer(place)) === null) await rm(pidFile(place), { force: true });
}

const pidFile = (place: Place): string => join(place.data, "postmaster.pid");

async function isPostmasterOf(place: Place, pid: number): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  const [program, folder] = /^(.*?postgres)[\0 ]-D[\0 ]([^\0]+)/.exec(await commandOf(pid))?.slice(1) ?? [];
  if (program === undefined || folder === undefined) return false;
  const running = await realpath(folder.trim()).catch(() => null);
  // A folder that is no more: ours was moved while its server was running. Another that exists: ours is a copy of it.
  return running === null || running === (await realpath(place.data));
}

/** The command line of a process; empty when there is no such process, or it has ended and nobody has noticed. */
async function commandOf(pid: number): Promise<string> {
  if (process.platform === "linux") return readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const ps = promisify(execFile)("ps", ["-ww", "-o", "args=", "-p", String(pid)], { timeout: 5_000 });
  return ps.then(({ stdout }) => stdout, () => "");
}

async function connect(url: string, applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
  });
  // The server may be stopped under a connection that is only held. Without a listener that would end the process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function makeDatabase(url: string): Promise<void> {
  const maintenance = new URL(url);
  maintenance.pathname = "/postgres";
  const client = await connect(maintenance.href, "postcommit-embedded-setup");
  try {
    await client.query(`create database ${superuser}`);
  } finally {
    await client.end();
  }
}

function passwordLost(place: Place, cause?: unknown): OutboxError {
  return new OutboxError(
    "CONFIGURATION",
    `The password in ${place.password} does not open the embedded Postgres in ${place.data}. Restore that file, or delete the data with db:reset.`,
    { cause },
  );
}
