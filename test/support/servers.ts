// Postgres servers of a test's own, to be stopped and started as it likes, of any version whose programs are here:
//   const server = await ownServer(await embeddedPrograms());  … await server.stop("immediate");  await server.start();  … await server.close();

import type { SpawnOptions } from "node:child_process";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { installedBinaries, prepareBinaries } from "../../src/service/embedded/binaries.ts";
import { serverUser } from "../../src/service/embedded/user.ts";

const oldestSupported = 15;
const newest = 18;

/** The oldest Postgres of Debian's packages that is supported and older than the embedded one; null when none is installed. */
export function olderPostgres(): { readonly major: number; readonly programs: string } | null {
  const folder = "/usr/lib/postgresql";
  const majors = existsSync(folder) ? readdirSync(folder).map(Number) : [];
  const [major] = majors.filter((found) => found >= oldestSupported && found < newest && existsSync(join(folder, String(found), "bin/initdb"))).sort((a, b) => a - b);
  return major === undefined ? null : { major, programs: join(folder, String(major), "bin") };
}

/** The folder with the programs of the embedded Postgres. */
export async function embeddedPrograms(): Promise<string> {
  return join(await prepareBinaries(installedBinaries(), await serverUser("")), "native", "bin");
}

export interface OwnServer {
  /** As the superuser. */
  readonly url: string;
  /** "immediate" is what a crash is: no farewell, and recovery at the next start. */
  stop(mode: "fast" | "immediate"): Promise<void>;
  /** Again, on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const startTimeoutMs = 40_000;

/** A new cluster in a temporary folder, run as another user when we are root, as the embedded one is. */
export async function ownServer(programs: string, settings: Readonly<Record<string, string>> = {}): Promise<OwnServer> {
  const folder = await mkdtemp(join(tmpdir(), "postgres-"));
  const [data, passwordFile] = [join(folder, "data"), join(folder, "password")];
  const user = await serverUser(data);
  const as = { cwd: folder, env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" }, ...(user && { uid: user.uid, gid: user.gid }) };
  const password = randomBytes(12).toString("hex");
  await writeFile(passwordFile, password);
  if (user !== null) {
    await chmod(folder, 0o711);
    for (const path of [folder, passwordFile]) await chown(path, user.uid, user.gid);
  }
  await promisify(execFile)(join(programs, "initdb"), ["--pgdata", data, "--username", "postcommit", "--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"], as);
  const port = await freePort();
  const url = `postgresql://postcommit:${password}@127.0.0.1:${port}/postgres`;
  const all = { listen_addresses: "127.0.0.1", unix_socket_directories: "", port: String(port), timezone: "UTC", fsync: "off", ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);

  async function start(): Promise<Tied> {
    const server = tied(join(programs, "postgres"), ["-D", data, ...args], as);
    const startedAt = performance.now();
    while (!(await answers(url))) {
      await pause(50);
      if (server.hasEnded() || performance.now() - startedAt > startTimeoutMs) throw new Error(`Postgres did not start:\n${server.log()}`);
    }
    return server;
  }

  let running: Tied | null = await start();
  const stop = async (mode: "fast" | "immediate") => {
    await running?.end(mode === "fast" ? "INT" : "QUIT");
    running = null;
  };
  return {
    url,
    stop,
    async start() {
      running ??= await start();
    },
    async close() {
      await stop("immediate");
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

export interface Tied {
  /** What it has written to stderr. */
  log(): string;
  hasEnded(): boolean;
  /** Sends it the signal and waits for its end. */
  end(signal: "INT" | "QUIT" | "KILL"): Promise<void>;
}

/** A server that ends with this process, however that ends: a shell waits for the name of a signal, or for the end of its input. */
export function tied(program: string, args: readonly string[], options: Omit<SpawnOptions, "stdio"> = {}): Tied {
  const script = '"$@" & server=$!; read -r signal; kill "-${signal:-KILL}" $server; wait $server';
  const child = spawn("/bin/sh", ["-c", script, "sh", program, ...args], { ...options, stdio: ["pipe", "ignore", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log = (log + text).slice(-20_000)));
  child.stdin.on("error", () => undefined); // it has ended already
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    log: () => log,
    hasEnded: () => child.exitCode !== null,
    async end(signal) {
      child.stdin.end(`${signal}\n`);
      await ended;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  return client.connect().then(
    async () => {
      await client.end();
      return true;
    },
    () => false, // it starts, or recovers
  );
}

/** A port of 127.0.0.1 that nobody has at this moment. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once("error", reject)
      .listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo; // a server that listens on TCP has one
        server.close(() => resolve(port));
      });
  });
}
