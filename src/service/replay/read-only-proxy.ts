// Handlers read from their database before they act, by clients of their own. A connection of theirs to the outbox's server
// goes through here, where its greeting is completed: the session then begins read-only transactions.

import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

export interface ReadOnlyProxy {
  letRead(databaseUrl: string): void;
  /** The proxy's port, when that address is the outbox's server; null for any other. */
  portFor(host: string, port: number): number | null;
  close(): Promise<void>;
}

interface Options {
  readonly asProgram: <Value>(work: () => Value) => Value;
  readonly onReader: () => void;
  readonly refuse: (target: string) => Error;
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const sslRequest = 80_877_103;
const gssRequest = 80_877_104;
const startup = 196_608;
const readOnly = "-c default_transaction_read_only=on";

export async function openReadOnlyProxy({ asProgram, onReader, refuse }: Options): Promise<ReadOnlyProxy> {
  let server: { host: string; port: number } | null = null;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined); // the other side is closed with it
    socket.on("close", () => sockets.delete(socket));
  };

  function join(client: Socket, greeting: Buffer): void {
    if (server === null) return void client.destroy();
    const { host, port } = server;
    const upstream = asProgram(() => connect({ host, port }));
    keep(upstream);
    upstream.write(greeting);
    client.pipe(upstream).pipe(client);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    onReader();
  }

  const listener = createServer((client) => {
    keep(client);
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 8 || received.length < received.readInt32BE(0)) return;
      const length = received.readInt32BE(0);
      const code = received.readInt32BE(4);
      if (code === sslRequest || code === gssRequest) {
        received = received.subarray(length);
        // Encrypted, nobody could complete its greeting. A client that insists gives up now.
        refuseTls(client, code, refuse);
        return;
      }
      client.off("data", onData);
      if (code !== startup) return void client.destroy(); // a request to cancel: nothing here takes long
      client.pause();
      join(client, Buffer.concat([completed(received.subarray(8, length)), received.subarray(length)]));
      client.resume();
    };
    client.on("data", onData);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  return {
    letRead(databaseUrl) {
      if (!URL.canParse(databaseUrl)) return;
      const { hostname, port, searchParams } = new URL(databaseUrl);
      // A pooler refuses what the greeting would be completed by.
      if (hostname === "" || searchParams.get("pgbouncer") === "true") return;
      server = { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port || 5432) };
    },
    portFor: (host, port) => (server !== null && port === server.port && sameHost(host, server.host) ? (listener.address() as AddressInfo).port : null), // it listens on TCP
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => listener.close(closed));
    },
  };
}

function refuseTls(client: Socket, code: number, refuse: Options["refuse"]): void {
  if (code === sslRequest) refuse("the outbox's own database by TLS, where it cannot be kept from writing");
  client.write("N");
}

const loopback = /^(localhost|127(\.\d+){3}|::1)$/;

function sameHost(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase() || (loopback.test(one) && loopback.test(other));
}

/** A startup message of the parameters in `body`, pairs of texts that end in a NUL each, with ours among the options. */
function completed(body: Buffer): Buffer {
  const texts = body.toString("utf8").split("\0");
  const parameters = new Map<string, string>();
  for (let nth = 0; nth + 1 < texts.length && texts[nth] !== ""; nth += 2) parameters.set(texts[nth] ?? "", texts[nth + 1] ?? "");
  parameters.set("options", `${parameters.get("options") ?? ""} ${readOnly}`.trim());
  const text = Buffer.from(`${[...parameters].flat().join("\0")}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + text.length, 0);
  head.writeInt32BE(startup, 4);
  return Buffer.concat([head, text]);
}
