// The engine's way to Postgres, over pg.
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isTransient } from "../../src/outbox/transient.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { emptyDatabase } from "../support/database.ts";
import { inFrontOf } from "../support/proxy.ts";
import { messagesOf } from "../support/wire.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await emptyDatabase();
  await db.pool.query("create table t (n int primary key)");
});
afterAll(() => db.close());

describe("a session of the engine", () => {
  it("is READ COMMITTED, whatever the database's default", async () => {
    const name = new URL(db.url).pathname.slice(1);
    await db.pool.query(`alter database ${name} set default_transaction_isolation = 'serializable'`);
    const database = postgres(db.url);
    try {
      expect(await database.query("show transaction_isolation")).toEqual([{ transaction_isolation: "read committed" }]);
      expect(await database.transaction((tx) => tx.query("show transaction_isolation"))).toEqual([{ transaction_isolation: "read committed" }]);
    } finally {
      await database.close();
      await db.pool.query(`alter database ${name} reset default_transaction_isolation`);
    }
  });

  it("with ?pgbouncer=true sends no settings of its own", async () => {
    const database = postgres(`${db.url}?pgbouncer=true`);
    try {
      expect(await database.query("show plan_cache_mode")).toEqual([{ plan_cache_mode: "auto" }]);
      expect(await database.query("select name from pg_prepared_statements")).toEqual([]);
    } finally {
      await database.close();
    }
  });

  it("ends a statement that exceeds its time", async () => {
    const database = postgres(db.url, { statementTimeoutMs: 200 });
    try {
      await expect(database.query("select pg_sleep(20)")).rejects.toThrow("statement timeout");
    } finally {
      await database.close();
    }
  });
});

describe("a transaction", () => {
  it("is committed as a whole, rolled back as a whole, and its connection can be used again", async () => {
    const database = postgres(db.url, { maxConnections: 1 });
    try {
      await database.transaction((tx) => tx.query("insert into t values (1)"));
      await expect(
        database.transaction(async (tx) => {
          await tx.query("insert into t values (2)");
          await tx.query("insert into t values (1)");
        }),
      ).rejects.toThrow("duplicate key");
      expect(await database.query("select n from t")).toEqual([{ n: 1 }]);
    } finally {
      await database.close();
    }
  });
});

describe("a connection that Postgres ends as it greets", () => {
  it.each(["query", "transaction"] as const)("in one packet with the greeting, fails the %s, and not the process", async (by) => {
    const ending = await endingWithGreeting(db.url);
    const uncaught: Error[] = [];
    const onUncaught = (error: Error) => void uncaught.push(error);
    process.on("uncaughtException", onUncaught);
    const database = postgres(ending.url);
    try {
      const asked = by === "query" ? database.query("select 1") : database.transaction((tx) => tx.query("select 1"));
      const error = await asked.then(() => null, (reason: unknown) => reason);
      expect(isTransient(error), String(error)).toBe(true);
      expect(uncaught).toEqual([]);
    } finally {
      process.off("uncaughtException", onUncaught);
      await database.close();
      await ending.close();
    }
  });
});

/** The same database; each connection is ended by an administrator, in one packet with the end of its greeting. */
async function endingWithGreeting(databaseUrl: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const { hostname, port } = new URL(databaseUrl);
  const fields = "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0";
  const length = Buffer.alloc(4);
  length.writeUInt32BE(fields.length + 4);
  const fatal = Buffer.concat([Buffer.from("E"), length, Buffer.from(fields)]);
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port || 5432) });
    const messages = messagesOf("postgres");
    near.on("error", () => undefined).on("close", () => far.destroy());
    far.on("error", () => undefined).on("close", () => near.destroy());
    near.pipe(far);
    far.on("data", (bytes: Buffer) => near.write(messages(bytes).some(({ name }) => name === "ReadyForQuery") ? Buffer.concat([bytes, fatal]) : bytes));
  });
  const url = await inFrontOf(databaseUrl, server);
  return { url, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

describe("the connection for beats", () => {
  it("gives up on a statement that is not answered in time", async () => {
    const connection = await postgres(db.url).dedicated(300);
    const startedAt = performance.now();
    await expect(connection.query("select pg_sleep(20)")).rejects.toThrow("timeout");
    expect(performance.now() - startedAt).toBeLessThan(5000);
    await connection.close();
  });

  it("gives up on a server that takes the connection and says nothing", async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo; // it listens on TCP
    const startedAt = performance.now();
    await expect(postgres(`postgresql://u:p@127.0.0.1:${port}/x`).dedicated(300)).rejects.toThrow("timeout");
    expect(performance.now() - startedAt).toBeLessThan(5000);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});
