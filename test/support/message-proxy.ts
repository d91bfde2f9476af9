// A TCP proxy in front of Postgres that knows where a message of the wire protocol begins and ends. It counts the messages of
// all connections, in both directions, as they come by, and at the one it was told of the network fails.
//   const proxied = await messageProxy(test.url, { at: 17, when: "before", how: "cut" });
//   … await proxied.failed; … proxied.restore(); … await proxied.close();

import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { inFrontOf } from "./proxy.ts";
import type { Message, Sender } from "./wire.ts";
import { messagesOf } from "./wire.ts";

/**
 * "cut": all connections end, and new ones are refused. "black hole": nothing gets through and nobody is told; what was
 * held back arrives when the network is back. "half open": the same, but what was open by then stays silent for ever.
 */
export type How = "cut" | "black hole" | "half open";

export interface Fault {
  /** The number of the message, from 1; or what tells it from others, asked of each as it comes by. */
  readonly at: number | ((message: Passed) => boolean);
  /** Whether that message is still delivered. */
  readonly when: "before" | "after";
  readonly how: How;
}

export interface Passed {
  readonly n: number;
  /** Of the message, as the documentation of Postgres has it. */
  readonly name: string;
  /** Which of the program's connections, in the order in which it made them, from 1. */
  readonly connection: number;
  readonly sender: Sender;
  /** The statement that it is part of, or that it answers; empty before the first one. */
  readonly statement: string;
  /** It came in one piece with the message before it: "before" this one is the same moment as "after" that one. */
  readonly joined: boolean;
}

export interface MessageProxy {
  /** The same database, through the proxy. */
  readonly url: string;
  /** What has come by so far. */
  readonly passed: readonly Passed[];
  /** The message at which the network failed, once it has. */
  readonly failed: Promise<Passed>;
  /** The network is back. */
  restore(): void;
  close(): Promise<void>;
}

interface Connection {
  readonly number: number;
  readonly ends: readonly [Socket, Socket];
  /** By name. */
  readonly statements: Map<string, string>;
  statement: string;
  /** What came while the network was away, in its order. */
  readonly held: (() => void)[];
}

export async function messageProxy(databaseUrl: string, fault: Fault | null = null): Promise<MessageProxy> {
  const { hostname, port } = new URL(databaseUrl);
  const open = new Set<Connection>();
  const silenced = new Set<Connection>();
  const passed: Passed[] = [];
  let away: How | null = null;
  let hitBefore: Fault | null = null;
  let connections = 0;
  let tellFailed: (at: Passed) => void = () => undefined;
  const failed = new Promise<Passed>((resolve) => (tellFailed = resolve));

  const server = createServer((near) => {
    near.on("error", () => undefined);
    if (away === "cut") return near.destroy();
    near.setNoDelay(true);
    const far = connect({ host: hostname, port: Number(port || 5432), noDelay: true });
    const connection: Connection = { number: (connections += 1), ends: [near, far], statements: new Map(), statement: "", held: [] };
    open.add(connection);
    pass(connection, "program", near, far);
    pass(connection, "postgres", far, near);
    if (away !== null) for (const end of connection.ends) end.pause();
  });

  function pass(connection: Connection, sender: Sender, from: Socket, to: Socket): void {
    const read = messagesOf(sender);
    from.on("error", () => undefined);
    from.on("close", () => {
      to.destroy();
      open.delete(connection);
    });
    from.on("data", (bytes: Buffer) => {
      for (const [index, message] of read(bytes).entries()) {
        if (away === null) deliver(message, index > 0);
        else connection.held.push(() => deliver(message, index > 0));
      }
    });

    function deliver(message: Message, joined: boolean): void {
      follow(connection, message);
      const one: Passed = { n: passed.length + 1, name: message.name, connection: connection.number, sender, statement: connection.statement, joined };
      passed.push(one);
      const hit = fault !== null && hitBefore === null && (typeof fault.at === "number" ? one.n === fault.at : fault.at(one)) ? fault : null;
      hitBefore ??= hit;
      if (hit?.when === "before") {
        connection.held.push(() => to.write(message.bytes));
        fail(hit.how, one);
        return;
      }
      to.write(message.bytes);
      if (hit !== null) fail(hit.how, one);
    }
  }

  function fail(how: How, at: Passed): void {
    away = how;
    for (const connection of open) {
      if (how === "half open") silenced.add(connection);
      for (const end of connection.ends) {
        end.pause();
        // What has been delivered arrives, and then the end of the connection.
        if (how === "cut") end.end(() => end.destroy());
      }
    }
    tellFailed(at);
  }

  const url = await inFrontOf(databaseUrl, server);

  return {
    url,
    passed,
    failed,
    restore() {
      away = null;
      for (const connection of open) {
        if (silenced.has(connection)) continue;
        for (const deliver of connection.held.splice(0)) deliver();
        for (const end of connection.ends) end.resume();
      }
    },
    async close() {
      for (const { ends } of open) for (const end of ends) end.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Which statement the connection is at. */
function follow(connection: Connection, { name, statement, statementName }: Message): void {
  if (statement !== null) connection.statement = statement.replace(/\s+/g, " ").trim();
  if (name === "Parse") connection.statements.set(statementName ?? "", connection.statement);
  if (name === "Bind") connection.statement = connection.statements.get(statementName ?? "") ?? "";
}
