// Debian's PgBouncer in transaction mode, before a Postgres of the tests'.
//   const between = await bouncer(test.url);  … between.url …  between.kill();  await between.start();  … await between.close();

import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tied } from "./servers.ts";
import { freePort, tied } from "./servers.ts";
import { until } from "./until.ts";

const program = "/usr/sbin/pgbouncer";
export const hasPgBouncer = existsSync(program);

export interface Bouncer {
  /** Host and port. */
  readonly host: string;
  /** The same database, through it; `?pgbouncer=true` is the caller's to add. */
  readonly url: string;
  /** kill -9: every connection through it is gone at once, in the middle of whatever it did. */
  readonly kill: () => Promise<void>;
  /** Again, on the same port. */
  readonly start: () => Promise<void>;
  close(): Promise<void>;
}

export interface BouncerOptions {
  /** PgBouncer refuses the settings of sessions. This makes it drop them instead, as people tell it to when it does. */
  readonly dropsSettings?: boolean;
  /** More lines for its section [pgbouncer]. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

export async function bouncer(databaseUrl: string, { dropsSettings = false, settings = {} }: BouncerOptions = {}): Promise<Bouncer> {
  const { hostname, port: serverPort, username, password } = new URL(databaseUrl);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "pgbouncer-"));
  const [ini, users] = [join(folder, "pgbouncer.ini"), join(folder, "users.txt")];
  await writeFile(users, `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`, { mode: 0o644 });
  const all = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "scram-sha-256",
    auth_file: users,
    pool_mode: "transaction",
    max_client_conn: 500,
    // The default, 15 s, is how long it refuses to try a server again that it has once found away.
    server_login_retry: 1,
    ignore_startup_parameters: `extra_float_digits${dropsSettings ? ",options" : ""}`,
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  await writeFile(ini, `[databases]\n* = host=${hostname} port=${serverPort}\n[pgbouncer]\n${lines.join("\n")}\n`);
  // It refuses to run as root.
  const asRoot = process.getuid?.() === 0;
  if (asRoot) await chmod(folder, 0o755);

  async function start(): Promise<Tied> {
    const server = tied(program, [...(asRoot ? ["-u", "nobody"] : []), ini]);
    await until("PgBouncer listens", () => server.log().includes("process up") || server.log().includes("FATAL"));
    if (!server.log().includes("process up")) throw new Error(`PgBouncer did not start:\n${server.log()}`);
    return server;
  }

  let running: Tied | null = await start();
  const url = Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href;
  return {
    host: `127.0.0.1:${port}`,
    url,
    async kill() {
      await running?.end("KILL");
      running = null;
    },
    async start() {
      running ??= await start();
    },
    async close() {
      await running?.end("KILL");
      await rm(folder, { recursive: true });
    },
  };
}
