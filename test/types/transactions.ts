// What may be passed as a transaction, by the types of the libraries themselves, and what may not. Nothing here runs.

import type { drizzle as drizzleOverPg } from "drizzle-orm/node-postgres";
import type { drizzle as drizzleOverPostgresJs } from "drizzle-orm/postgres-js";
import type { ControlledTransaction, Kysely, Transaction } from "kysely";
import type pg from "pg";
import type postgres from "postgres";
import type { PrismaClient as OurClient } from "../../generated/prisma/client.ts";
import type { AppOutbox } from "../../src/index.ts";
import { createOutbox } from "../../src/index.ts";
import type { PrismaClient as Six } from "../clients/prisma-6/generated/with-outbox/client.ts";
import type { PrismaClient as BareSix } from "../clients/prisma-6/generated/without-outbox/client.ts";
import type { PrismaClient as Seven } from "../clients/prisma-7/generated/with-outbox/client.ts";
import type { PrismaClient as BareSeven } from "../clients/prisma-7/generated/without-outbox/client.ts";
import { work } from "../support/outbox.ts";

interface Tables {
  proposal: { title: string };
}

export async function prismaTransactions(outbox: AppOutbox, six: Six, seven: Seven, bare: BareSeven, ours: OurClient): Promise<void> {
  await six.$transaction((tx) => outbox.enqueue(tx, work, {}));
  await seven.$transaction((tx) => outbox.enqueue(tx, work, {}));
  await bare.$transaction((tx) => outbox.enqueueMany(tx, [work.job({})]));
  await ours.$transaction((tx) => outbox.enqueue(tx, work, {}));
  await six.$extends({ query: {} }).$transaction((tx) => outbox.enqueue(tx, work, {}));
  await seven.$extends({ query: {} }).$extends({ model: { $allModels: { nothing: () => 1 } } }).$transaction((tx) => outbox.enqueue(tx, work, {}));
  await seven.$transaction((tx) => tx.$transaction((inner) => outbox.enqueue(inner, work, {})));
  // @ts-expect-error the client of Prisma 6 is no transaction
  await outbox.enqueue(six, work, {});
  // @ts-expect-error the client of Prisma 7 is no transaction
  await outbox.enqueue(seven, work, {});
  // @ts-expect-error nor is one without the outbox's model
  await outbox.enqueue(bare, work, {});
  // @ts-expect-error nor is an extended client
  await outbox.enqueue(seven.$extends({ query: {} }), work, {});
  // @ts-expect-error a batch's elements are not transactions
  await outbox.enqueue(seven.proposal.create({ data: { title: "a" } }), work, {});
}

export async function otherTransactions(outbox: AppOutbox, client: pg.Client, pooled: pg.PoolClient, trx: Transaction<Tables>, controlled: ControlledTransaction<Tables>): Promise<void> {
  await outbox.enqueue(client, work, {});
  await outbox.enqueue(pooled, work, {});
  await outbox.enqueue(trx, work, {});
  await outbox.enqueue(controlled, work, {});
  await outbox.enqueueMany(trx, [work.job({})]);
}

export async function drizzleTransactions(outbox: AppOutbox, overPg: ReturnType<typeof drizzleOverPg>, overPostgresJs: ReturnType<typeof drizzleOverPostgresJs>): Promise<void> {
  await overPg.transaction((tx) => outbox.enqueue(tx, work, {}));
  await overPg.transaction((tx) => tx.transaction((inner) => outbox.enqueue(inner, work, {})));
  await overPostgresJs.transaction((tx) => outbox.enqueue(tx, work, {}));
  // @ts-expect-error the database itself is no transaction
  await outbox.enqueue(overPg, work, {});
  // @ts-expect-error over whichever driver
  await outbox.enqueue(overPostgresJs, work, {});
}

export async function postgresJsTransactions(outbox: AppOutbox, sql: postgres.Sql): Promise<void> {
  await sql.begin((tx) => outbox.enqueue(tx, work, {}));
  await sql.begin((tx) => tx.savepoint((inner) => outbox.enqueue(inner, work, {})));
  // @ts-expect-error the sql itself is no transaction
  await outbox.enqueue(sql, work, {});
}

export async function noTransactions(outbox: AppOutbox, pool: pg.Pool, db: Kysely<Tables>, promised: Promise<pg.PoolClient>): Promise<void> {
  // @ts-expect-error a pool is no transaction
  await outbox.enqueue(pool, work, {});
  // @ts-expect-error nor for many
  await outbox.enqueueMany(pool, [work.job({})]);
  // @ts-expect-error the Kysely instance itself is no transaction
  await outbox.enqueue(db, work, {});
  // @ts-expect-error an await is missing
  await outbox.enqueue(promised, work, {});
  // @ts-expect-error nothing is no transaction
  await outbox.enqueue(undefined, work, {});
  // @ts-expect-error neither is null
  await outbox.enqueue(null, work, {});
  // @ts-expect-error nor a database's URL
  await outbox.enqueue("postgresql://localhost/shop", work, {});
}

export async function extensions(outbox: AppOutbox, six: Six, seven: Seven, bareSix: BareSix, bareSeven: BareSeven): Promise<void> {
  const [onSix, onSeven] = [six.$extends(outbox.prismaExtension()), seven.$extends(outbox.prismaExtension())];
  await onSix.$transaction(async (tx) => (await tx.outbox.enqueue(work, { n: 1 }, { priority: "high" })).id.length);
  await onSeven.$transaction(async (tx) => (await tx.outbox.enqueueMany([work.job({})])).length);
  await onSeven.$extends({ query: {} }).$transaction((tx) => tx.outbox.enqueue(work, {}));
  const [proposal, enqueued] = await onSeven.$transaction([onSeven.proposal.create({ data: { title: "a" } }), onSeven.outbox.enqueue(work, {})]);
  [proposal.title, enqueued.id].join();
  const [sixth] = await onSix.$transaction([onSix.outbox.enqueue(work, {})]);
  sixth.deduplicated.valueOf();
  const [bareOnSix, bareOnSeven] = [bareSix.$extends(outbox.prismaExtension()), bareSeven.$extends(outbox.prismaExtension())];
  await bareOnSix.$transaction((tx) => tx.$enqueue(work, {}));
  await bareOnSeven.$transaction([bareOnSeven.$enqueueMany([work.job({})])]);
  // @ts-expect-error the payload is checked
  await onSeven.$transaction((tx) => tx.outbox.enqueue(work, { n: "one" }));
  // @ts-expect-error and so are the options
  await onSix.$transaction((tx) => tx.outbox.enqueue(work, {}, { urgent: true }));
  // @ts-expect-error and both where the methods are the client's own
  await bareOnSeven.$transaction((tx) => tx.$enqueue(work, { n: "one" }));
  // @ts-expect-error the transaction is not passed: it is the one that the method is called on
  await onSeven.$transaction((tx) => tx.outbox.enqueue(tx, work, {}));
  // @ts-expect-error without the extension there is no such method
  await seven.$transaction((tx) => Promise.resolve(tx.outbox.enqueue));
}

export function connections(pool: pg.Pool, client: pg.Client, prisma: Seven): AppOutbox {
  // @ts-expect-error a client is neither a URL nor a pool
  createOutbox({ connection: client });
  // @ts-expect-error nor is a Prisma client
  createOutbox({ connection: prisma });
  return createOutbox({ connection: pool, maxConnections: 2 });
}
