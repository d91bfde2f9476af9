// A TCP proxy in front of Postgres that fails as networks do: connections cut, packets that go nowhere, and back again.
//   const proxied = await proxy(test.url);  … proxied.cut();  … proxied.resume();  … await proxied.close();

import type { AddressInfo, Server, Socket } from "node:net";
import { connect, createServer } from "node:net";

export interface Proxy {
  /** The same database, through the proxy. */
  readonly url: string;
  /** Ends all connections, and refuses new ones until `resume`. */
  cut(): void;
  /** Nothing gets through any more, in neither direction, and nobody is told; new connections are taken, and hang. Until `resume`. */
  blackHole(): void;
  /** What is open by now stays silent for ever, and nobody is told; new connections get through. */
  halfOpen(): void;
  /** What has been held back goes on its way, and new connections get through. Those that were cut stay so. */
  resume(): void;
  close(): Promise<void>;
}

export async function proxy(databaseUrl: string): Promise<Proxy> {
  const { hostname, port } = new URL(databaseUrl);
  const pairs = new Set<readonly [Socket, Socket]>();
  const silenced = new WeakSet<readonly [Socket, Socket]>();
  let state: "through" | "cut" | "black hole" = "through";

  const server = createServer((near) => {
    near.on("error", () => undefined);
    if (state === "cut") return near.destroy();
    const far = connect({ host: hostname, port: Number(port || 5432) });
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near]] as const) {
      from.on("error", () => undefined);
      from.on("data", (bytes) => to.write(bytes));
      from.on("close", () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
    if (state === "black hole") for (const end of pair) end.pause();
  });
  const url = await inFrontOf(databaseUrl, server);

  const destroyAll = () => {
    for (const pair of [...pairs]) for (const end of pair) end.destroy();
  };
  return {
    url,
    cut() {
      state = "cut";
      destroyAll();
    },
    blackHole() {
      state = "black hole";
      for (const pair of pairs) for (const end of pair) end.pause();
    },
    halfOpen() {
      state = "through";
      for (const pair of pairs) {
        silenced.add(pair);
        for (const end of pair) end.pause();
      }
    },
    resume() {
      state = "through";
      for (const pair of pairs) if (!silenced.has(pair)) for (const end of pair) end.resume();
    },
    async close() {
      destroyAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The URL of the same database, through `server`, which listens from now on. */
export async function inFrontOf(databaseUrl: string, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port); // it listens on TCP, so it is no path
  return url.href;
}
