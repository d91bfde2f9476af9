// One cluster of the embedded Postgres: made, started, found while it runs, stopped. Every function here expects its
// caller to hold the lock of the place. Next: embedded.ts, which decides when.

import { chown, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { OutboxError } from "../../outbox/errors.ts";
import { makePassword, type Place } from "./place.ts";
import { runProgram, type ProgramRun } from "./program.ts";
import { writeSettings, type Settings } from "./settings.ts";
import type { SystemUser } from "./user.ts";

export const superuser = "postcommit";
const initdbTimeoutMs = 120_000;
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
const maxStarts = 5;

/** Makes the cluster unless it is there. It is made beside its place and renamed, so one that was interrupted leaves nothing that looks like one. */
export async function makeCluster(place: Place, binaries: string, settings: Settings): Promise<void> {
  if (await isCluster(place)) return;
  for (const name of await readdir(place.home)) {
    if (name.startsWith("making-")) await rm(join(place.home, name), { recursive: true, force: true, maxRetries: 3 });
  }
  const making = await mkdtemp(join(place.home, "making-"));
  const passwordForInitdb = `${making}.password`;
  try {
    await giveTo(place.user, making);
    await writeFile(passwordForInitdb, await makePassword(place), { mode: 0o600 });
    await giveTo(place.user, passwordForInitdb);
    const args = ["--pgdata", making, "--username", superuser, "--pwfile", passwordForInitdb, "--auth", "scram-sha-256", "--no-instructions"];
    // The same order of strings on every machine, whatever its own locale is.
    args.push("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8");
    if (settings.fsync === "off") args.push("--no-sync");
    const run = await runProgram(binaries, "initdb", args, { user: place.user, timeoutMs: initdbTimeoutMs });
    if (!run.ok) throw failed(place, "initdb could not make its cluster", run, run.output, initdbTimeoutMs);
    await writeFile(join(making, "postgresql.conf"), "\ninclude '../server.conf'\n", { flag: "a" });
    await rename(making, place.data);
  } finally {
    await rm(making, { recursive: true, force: true, maxRetries: 3 });
    await rm(passwordForInitdb, { force: true });
  }
}

/** Whether there is a cluster. Whatever else stands in its place is not ours to delete. */
export async function isCluster(place: Place): Promise<boolean> {
  const names = await readdir(place.data).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new OutboxError("CONFIGURATION", `The folder ${place.data} of the embedded Postgres cannot be read: ${String(error)}. Run as the user who made it, or set DATABASE_URL.`, { cause: error });
  });
  if (names === null) return false;
  if (names.includes("PG_VERSION")) return true;
  throw new OutboxError("CONFIGURATION", `Expected ${place.data} to hold the data of the embedded Postgres, got a folder without PG_VERSION. Choose another folder, or move this one away.`);
}

/** Starts the cluster on a free port of 127.0.0.1, the same as last time when it can be had. */
export async function startCluster(place: Place, binaries: string, settings: Settings): Promise<void> {
  for (let start = 1; ; start += 1) {
    await writeSettings(place, settings, start === 1);
    const logged = await openLog(place);
    const args = ["start", "--wait", "--silent", "--timeout", String(startTimeoutMs / 1000), "--pgdata", place.data, "--log", place.log];
    const run = await runProgram(binaries, "pg_ctl", args, { user: place.user, timeoutMs: startTimeoutMs + 5_000 });
    if (run.ok) return;
    const log = (await readFile(place.log, "utf8")).slice(logged);
    // Somebody took the port since we looked; or the backends of a server that was killed have not all gone yet.
    const passing = /could not bind|Address already in use|could not create any TCP\/IP sockets|pre-existing shared memory block/.test(log);
    if (!passing || start === maxStarts) throw failed(place, `the server did not start (log: ${place.log})`, run, log || run.output, startTimeoutMs);
    await pause(200);
  }
}

/** Stops the cluster and disconnects whoever is left. */
export async function stopCluster(place: Place, binaries: string): Promise<void> {
  const stop = (mode: string, timeoutMs: number): Promise<ProgramRun> => {
    const args = ["stop", "--wait", "--silent", "--mode", mode, "--timeout", String(timeoutMs / 1000), "--pgdata", place.data];
    return runProgram(binaries, "pg_ctl", args, { user: place.user, timeoutMs: timeoutMs + 5_000 });
  };
  const fast = await stop("fast", stopTimeoutMs);
  if (fast.ok || /is server running/i.test(fast.output)) return;
  // A fast stop waits for a last checkpoint, which a full disk refuses. The log replays it at the next start.
  const immediate = await stop("immediate", 10_000);
  if (!immediate.ok) throw failed(place, "the server did not stop", immediate, immediate.output, stopTimeoutMs);
}

/** The log must belong to the server's user before pg_ctl opens it. Gives back where this start's lines will begin. */
async function openLog(place: Place): Promise<number> {
  const size = await stat(place.log).then(({ size }) => size, () => 0); // Not there before the first start.
  if (size > 10 * 1024 * 1024) await rename(place.log, `${place.log}.old`);
  const file = await open(place.log, "a", 0o600);
  await file.close();
  await giveTo(place.user, place.log);
  return (await readFile(place.log, "utf8")).length;
}

async function giveTo(user: SystemUser | null, path: string): Promise<void> {
  if (user === null) return;
  await chown(path, user.uid, user.gid).catch((cause: unknown) => {
    throw new OutboxError("CONFIGURATION", `Postgres does not run as root, and ${path} cannot be given to ${user.name}: ${String(cause)}. Run as another user, or set DATABASE_URL.`, { cause });
  });
}

function failed(place: Place, what: string, run: ProgramRun, output: string, timeoutMs: number): OutboxError {
  const lines = output.trim().split("\n").slice(-8).join("\n");
  const why = /No space left on device/.test(output) ? "the disk is full. Its last lines were" : run.timedOut ? `it took longer than ${timeoutMs / 1000} s. Its last lines were` : "its last lines were";
  return new OutboxError("DATABASE_UNREACHABLE", `The embedded Postgres in ${place.home} failed: ${what}; ${why}:\n${lines}`);
}
