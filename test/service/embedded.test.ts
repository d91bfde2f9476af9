// The embedded Postgres: there when somebody needs it, shared, gone with its last user, and never in anybody's way.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, watch, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { installedBinaries, prepareBinaries } from "../../src/service/embedded/binaries.ts";
import { runProgram } from "../../src/service/embedded/program.ts";
import { serverUser } from "../../src/service/embedded/user.ts";
import { embeddedStatus, openEmbedded, resetEmbedded, startEmbedded, stopEmbedded } from "../../src/service/embedded.ts";

const settings = { fsync: "off" };
let folder: string;
let dataDir: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "postcommit-embedded-"));
  await chmod(folder, 0o755); // Root's server runs as another user, who must get here.
  dataDir = join(folder, "shared");
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await stopEmbedded(dataDir);
});
afterAll(async () => {
  await rm(folder, { recursive: true, maxRetries: 3 });
});

interface User {
  readonly pid: number;
  readonly started: boolean;
  readonly url: string;
  leave(): Promise<unknown>;
  kill(): Promise<unknown>;
}

/** Another process that uses the server. */
async function aUser(dir = dataDir): Promise<User> {
  const child = spawnUser(dir);
  const [line] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
  const ended = once(child, "exit");
  return {
    ...(JSON.parse(line) as { started: boolean; url: string }),
    pid: child.pid!,
    leave: () => (child.stdin!.end("leave\n"), ended),
    kill: () => (child.kill("SIGKILL"), ended),
  };
}

function spawnUser(dir: string): ChildProcess {
  const script = resolve(import.meta.dirname, "../support/use-embedded.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, dir], { stdio: ["pipe", "pipe", "inherit"], timeout: 90_000 });
  children.push(child);
  return child;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

const stateOf = async (dir = dataDir): Promise<string> => (await embeddedStatus(dir)).state;

test("it is started when somebody needs it, stopped by its last user, and keeps the data", { timeout: 90_000 }, async () => {
  expect(await stateOf()).toBe("new");
  const first = await openEmbedded({ dataDir, settings });
  const second = await openEmbedded({ dataDir, settings });
  expect([first.started, second.started, second.url]).toEqual([true, false, first.url]);
  await query(first.url, "create table kept (id int)");
  expect(await query(first.url, "select current_setting('server_version_num')::int / 10000 as major, current_setting('TimeZone') as zone, current_setting('fsync') as fsync, getdatabaseencoding() as encoding")).toEqual([
    { major: 18, zone: "UTC", fsync: "off", encoding: "UTF8" },
  ]);
  await first.close();
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: "running", url: second.url, keepRunning: false, connections: 1 });
  await second.close();
  expect(await stateOf()).toBe("stopped");

  const later = await openEmbedded({ dataDir });
  expect([later.started, later.port]).toEqual([true, first.port]);
  expect(await query(later.url, "select from kept")).toEqual([]);
  expect(await query(later.url, "show fsync")).toEqual([{ fsync: "on" }]);
  await later.close();
});

test("two processes share it, and it survives the leaving of the one that started it", async () => {
  const other = await aUser();
  const ours = await openEmbedded({ dataDir, settings });
  expect([other.started, ours.started, ours.url]).toEqual([true, false, other.url]);
  expect(await other.leave()).toEqual([0, null]);
  expect(await query(ours.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await ours.close();
  expect(await stateOf()).toBe("stopped");
});

test("a user that is killed takes nothing down, and does not keep it running for ever", async () => {
  const killed = await aUser();
  const ours = await openEmbedded({ dataDir, settings });
  await killed.kill();
  expect(await query(ours.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await ours.close();
  expect(await stateOf()).toBe("stopped");
});

test("after its only user was killed the next one finds it, and stops it when it leaves", async () => {
  const killed = await aUser();
  await killed.kill();
  expect(await stateOf()).toBe("running");
  const ours = await openEmbedded({ dataDir, settings });
  expect([ours.started, ours.url]).toEqual([false, killed.url]);
  await ours.close();
  expect(await stateOf()).toBe("stopped");
});

test("three processes that start at the same time in a new folder share one server", { timeout: 90_000 }, async () => {
  const fresh = join(folder, "fresh");
  const users = await Promise.all([aUser(fresh), aUser(fresh), aUser(fresh)]);
  expect(users.filter((user) => user.started)).toHaveLength(1);
  expect(new Set(users.map((user) => user.url)).size).toBe(1);
  for (const user of users) expect(await user.leave()).toEqual([0, null]);
  expect(await stateOf(fresh)).toBe("stopped");
});

test("a folder whose making was killed halfway is made anew", { timeout: 90_000 }, async () => {
  const half = join(folder, "half");
  await mkdir(half, { mode: 0o711 });
  const changes = watch(half, { signal: AbortSignal.timeout(60_000) });
  const child = spawnUser(half);
  for await (const { filename } of changes) if (filename?.startsWith("making-")) break;
  child.kill("SIGKILL");
  expect(await readdir(half)).not.toContain("data");

  const server = await openEmbedded({ dataDir: half, settings });
  expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
  expect((await readdir(half)).filter((name) => name.startsWith("making-"))).toEqual([]);
  await server.close();
});

test("it runs from an installation with install scripts turned off, also when several processes find it so", async () => {
  const copy = join(folder, "package");
  await cp(installedBinaries(), copy, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(await readFile(join(copy, "native/pg-symlinks.json"), "utf8")) as { target: string }[];
  for (const { target } of links) await rm(join(copy, target), { force: true });
  await chmod(join(copy, "native/bin/postgres"), 0o644);
  const user = await serverUser(join(folder, "none"));
  await expect(runProgram(copy, "postgres", ["--version"], { user, timeoutMs: 10_000 })).rejects.toThrow("cannot be run");

  expect(await Promise.all([1, 2, 3].map(() => prepareBinaries(copy, user)))).toEqual([copy, copy, copy]);
  expect(await runProgram(copy, "postgres", ["--version"], { user, timeoutMs: 10_000 })).toMatchObject({ ok: true, output: expect.stringContaining("PostgreSQL) 18") });
  await unlink(join(copy, links[0]!.target));
  await prepareBinaries(copy, user);
  expect((await stat(join(copy, links[0]!.target))).isFile()).toBe(true);
});

test("a pid file left over from before a reboot does not stop it, although another program has that id now", async () => {
  await (await openEmbedded({ dataDir, settings })).close();
  const { uid, gid } = await stat(join(dataDir, "data"));
  const other = spawn("sleep", ["60"], process.getuid?.() === 0 ? { uid, gid } : {});
  children.push(other);
  await once(other, "spawn");
  await writeFile(join(dataDir, "data/postmaster.pid"), `${other.pid!}\n${join(dataDir, "data")}\n1700000000\n1\n\n127.0.0.1\n`);
  expect(await stateOf()).toBe("stopped");
  const server = await openEmbedded({ dataDir, settings });
  expect(server.started).toBe(true);
  await server.close();
  expect(other.exitCode).toBeNull();
});

test("a copy of the folder, made while the server ran, gets a server of its own", async () => {
  const original = await openEmbedded({ dataDir, settings });
  const copied = join(folder, "copied");
  // A copy of a running cluster is not sound; its pid file is what counts here.
  await (await openEmbedded({ dataDir: copied, settings })).close();
  await cp(join(dataDir, "password"), join(copied, "password"));
  await cp(join(dataDir, "data/postmaster.pid"), join(copied, "data/postmaster.pid"));
  expect(await stateOf(copied)).toBe("stopped");
  expect(await stateOf()).toBe("running");
  await original.close();
});

test("when the server is killed its users live on, and the next one starts it again", async () => {
  const ours = await openEmbedded({ dataDir, settings });
  const [pid] = (await readFile(join(dataDir, "data/postmaster.pid"), "utf8")).split("\n");
  process.kill(Number(pid), "SIGKILL");
  const next = await openEmbedded({ dataDir, settings });
  expect(next.started).toBe(true);
  expect(await query(next.url, "select 1 as one")).toEqual([{ one: 1 }]);
  await ours.close();
  expect(await stateOf()).toBe("running");
  await next.close();
  expect(await stateOf()).toBe("stopped");
});

test("another program on last time's port costs nothing but the port", async () => {
  const before = await openEmbedded({ dataDir, settings });
  await before.close();
  const other = createServer().listen(before.port, "127.0.0.1");
  await once(other, "listening");
  try {
    const server = await openEmbedded({ dataDir, settings });
    expect(server.port).not.toBe(before.port);
    await server.close();
  } finally {
    other.close();
  }
});

test("one that was started to stay goes on without users until it is stopped", async () => {
  const { url } = await startEmbedded({ dataDir, settings });
  await (await openEmbedded({ dataDir, settings })).close();
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: "running", url, keepRunning: true, connections: 0 });
  const user = await openEmbedded({ dataDir, settings });
  expect([await stopEmbedded(dataDir), await stopEmbedded(dataDir)]).toEqual([true, false]);
  await user.close();
  expect(await stateOf()).toBe("stopped");
});

test("a reset deletes the data, and the next user gets an empty one with another password", async () => {
  const before = await openEmbedded({ dataDir, settings });
  await query(before.url, "create table gone (id int)");
  await resetEmbedded(dataDir);
  expect(await stateOf()).toBe("new");
  await before.close();
  const after = await openEmbedded({ dataDir, settings });
  expect(new URL(after.url).password).not.toBe(new URL(before.url).password);
  expect(await query(after.url, "select to_regclass('gone') as found")).toEqual([{ found: null }]);
  await after.close();
});

test("a folder that holds something else is refused and left as it is", async () => {
  const foreign = join(folder, "foreign");
  await mkdir(join(foreign, "data"), { recursive: true });
  await writeFile(join(foreign, "data/thesis.txt"), "years of work");
  await expect(openEmbedded({ dataDir: foreign })).rejects.toThrow("got a folder without PG_VERSION");
  await expect(resetEmbedded(foreign)).rejects.toThrow("got a folder without PG_VERSION");
  expect(await readFile(join(foreign, "data/thesis.txt"), "utf8")).toBe("years of work");
});

test("a setting that Postgres refuses is shown with the server's own words", async () => {
  await expect(openEmbedded({ dataDir, settings: { shared_buffers: "lots" } })).rejects.toThrow(/the server did not start[^]*invalid value for parameter "shared_buffers"/);
  await expect(openEmbedded({ dataDir, settings: { "fsync = off\nport": "1" } })).rejects.toThrow("Expected settings of Postgres such as");
});

test("nobody else can read the password", async () => {
  await (await openEmbedded({ dataDir, settings })).close();
  expect((await stat(join(dataDir, "password"))).mode & 0o077).toBe(0);
});
