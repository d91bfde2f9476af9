// What the embedded Postgres is told beyond its postgresql.conf, the free port among it.

import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { OutboxError } from "../../outbox/errors.ts";
import type { Place } from "./place.ts";

/** Settings of Postgres by their names in postgresql.conf. */
export type Settings = Readonly<Record<string, string>>;

/** Writes what the next start reads. The port is last time's, if it may be and is free, so that a psql or a bookmark still finds it. */
export async function writeSettings(place: Place, settings: Settings, preferLastPort: boolean): Promise<void> {
  const port = (preferLastPort ? await portOfLastTime(place) : null) ?? (await freePort(0));
  const all: Settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "100",
    timezone: "UTC",
    log_timezone: "UTC",
    ...settings,
    port: String(port),
  };
  const lines = Object.entries(all).map(([name, value]) => {
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name) || /[\r\n\0]/.test(value)) {
      throw new OutboxError("INVALID_OPTION", `Expected settings of Postgres such as { max_connections: "200" }, got ${JSON.stringify({ [name]: value })}.`);
    }
    return `${name} = '${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  });
  await writeFile(place.settings, `# Written anew at each start. Settings of your own: alter system set ...\n${lines.join("\n")}\n`);
  // The server's user reads it, whatever the umask. No secret is in it.
  await chmod(place.settings, 0o644);
}

async function portOfLastTime(place: Place): Promise<number | null> {
  const text = await readFile(place.settings, "utf8").catch(() => ""); // Not there before the first start.
  const port = Number(/^port = '(\d+)'$/m.exec(text)?.[1] ?? 0);
  return port === 0 ? null : freePort(port).catch(() => null); // Taken: then any other.
}

async function freePort(port: number): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const { port: free } = server.address() as AddressInfo; // A server that listens on TCP has one.
      server.close(() => resolve(free));
    });
  });
}
