// The trace goes into the caller's own transaction, whatever client that is of.
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaPg as PrismaPg6 } from "@prisma/adapter-pg-6";
import { drizzle } from "drizzle-orm/node-postgres";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { PrismaClient as Prisma6 } from "../clients/prisma-6/generated/with-outbox/client.ts";
import { PrismaClient as Prisma7 } from "../clients/prisma-7/generated/with-outbox/client.ts";
import type { Shop } from "../clients/shop.ts";
import { openShop } from "../clients/shop.ts";
import { work } from "../support/outbox.ts";
import type { Traced } from "../support/spans.ts";
import { traced } from "../support/spans.ts";

let shop: Shop;
let tracing: Traced;
beforeAll(async () => {
  shop = await openShop();
  tracing = traced();
});
afterAll(async () => {
  tracing.unregister();
  await shop.close();
});
beforeEach(async () => {
  await shop.empty();
  tracing.reset();
});

const prisma7 = () => new Prisma7({ adapter: new PrismaPg({ connectionString: shop.url }) });
const prisma6 = () => new Prisma6({ adapter: new PrismaPg6({ connectionString: shop.url }) });

async function closing<Client>(client: Client, close: () => Promise<unknown>, use: (client: Client) => Promise<unknown>): Promise<void> {
  try {
    await use(client);
  } finally {
    await close();
  }
}

const clients: [string, () => Promise<unknown>][] = [
  [
    "pg",
    () => {
      const client = new pg.Client({ connectionString: shop.url });
      return closing(client, () => client.end(), async () => {
        await client.connect();
        await client.query("begin");
        await shop.outbox.enqueue(client, work, {});
        await client.query("commit");
      });
    },
  ],
  ["Prisma 7", () => closing(prisma7(), () => Promise.resolve(), (prisma) => prisma.$transaction((tx) => shop.outbox.enqueue(tx, work, {})).finally(() => prisma.$disconnect()))],
  ["Prisma 6", () => closing(prisma6(), () => Promise.resolve(), (prisma) => prisma.$transaction((tx) => shop.outbox.enqueue(tx, work, {})).finally(() => prisma.$disconnect()))],
  [
    "the Prisma extension, in a list",
    () => {
      const prisma = prisma7();
      const extended = prisma.$extends(shop.outbox.prismaExtension());
      return extended.$transaction([extended.proposal.create({ data: { title: "a" } }), extended.outbox.enqueue(work, {})]).finally(() => prisma.$disconnect());
    },
  ],
  [
    "Kysely",
    () => {
      const db = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: shop.url }) }) });
      return closing(db, () => db.destroy(), () => db.transaction().execute((trx) => shop.outbox.enqueue(trx, work, {})));
    },
  ],
  [
    "Drizzle",
    () => {
      const pool = new pg.Pool({ connectionString: shop.url });
      return closing(drizzle(pool), () => pool.end(), (db) => db.transaction((tx) => shop.outbox.enqueue(tx, work, {})));
    },
  ],
  [
    "postgres.js",
    () => {
      const sql = postgres(shop.url, { max: 1 });
      return closing(sql, () => sql.end(), () => sql.begin((tx) => shop.outbox.enqueue(tx, work, {})));
    },
  ],
];

it.each(clients)("%s", async (_, enqueue) => {
  await tracing.within("request", enqueue);
  const { traceId, spanId } = tracing.span("enqueue work").spanContext();
  const { rows } = await shop.pool.query("select traceparent, tracestate from outbox");
  expect(rows).toEqual([{ traceparent: `00-${traceId}-${spanId}-01`, tracestate: null }]);
  expect(tracing.span("enqueue work").parentSpanContext?.spanId).toBe(tracing.span("request").spanContext().spanId);
});
