// The network fails while an app enqueues inside its own transaction. The app may not know what became of it; the tables have
// both the order and the job, or neither.

import { setTimeout as sleep } from "node:timers/promises";
import { PrismaPg } from "@prisma/adapter-pg";
import pg from "pg";
import { PrismaClient } from "../../generated/prisma/client.ts";
import type { AppOutbox } from "../../src/index.ts";
import { createOutbox, defineJob } from "../../src/index.ts";
import type { TestDatabase } from "../support/databases.ts";
import type { Fault, Passed } from "../support/message-proxy.ts";
import { messageProxy } from "../support/message-proxy.ts";
import { until } from "../support/until.ts";

export const clients = ["pg", "prisma"] as const;
export type Client = (typeof clients)[number];

export interface EnqueueTrial {
  readonly at: Passed | null;
  readonly messages: readonly Passed[];
  readonly broken: readonly string[];
  /** Whether the app was told that it had worked. */
  readonly told: boolean;
  /** Whether the tables have it. */
  readonly there: boolean;
}

const effect = defineJob<{ then: string }>({ type: "effect" });
const appName = "nth-enqueue";
const awayMs = 300;

/** One order and its job. The order names the job, so it is written after it. */
const enqueueBy: Record<Client, (outbox: AppOutbox, url: string) => Promise<void>> = {
  async pg(outbox, url) {
    const client = new pg.Client({ connectionString: url, application_name: appName, query_timeout: 5000, connectionTimeoutMillis: 5000 });
    client.on("error", () => undefined); // the statement fails
    try {
      await client.connect();
      await client.query("begin");
      const { id } = await outbox.enqueue(client, effect, { then: "return" });
      await client.query("insert into orders (job) values ($1)", [id]);
      await client.query("commit");
    } finally {
      await Promise.race([client.end().catch(() => undefined), sleep(20)]);
    }
  },
  async prisma(outbox, url) {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, application_name: appName, query_timeout: 5000, connectionTimeoutMillis: 5000 }) });
    try {
      await prisma.$transaction(async (tx) => {
        const { id } = await outbox.enqueue(tx, effect, { then: "return" });
        await tx.$executeRaw`insert into orders (job) values (${id}::uuid)`;
      });
    } finally {
      await Promise.race([prisma.$disconnect().catch(() => undefined), sleep(1000)]);
    }
  },
};

/** `database`: with the tables of layEvidence. Trials in one database come one after the other. */
export async function tryToEnqueue(database: TestDatabase, client: Client, fault: Fault | null): Promise<EnqueueTrial> {
  const proxied = await messageProxy(database.url, fault);
  const outbox = createOutbox({ connection: database.url }); // it writes through the transaction, and connects to nothing
  const before = await counted(database);
  try {
    const told = enqueueBy[client](outbox, proxied.url).then(() => true, () => false);
    const at = await Promise.race([proxied.failed, told.then(() => null)]);
    if (at !== null && fault?.how !== "cut") await sleep(awayMs);
    proxied.restore();
    const wasTold = await told;
    await proxied.close(); // what is half open would never end
    await until("Postgres has noticed", async () => (await database.pool.query("select from pg_stat_activity where application_name = $1 and datname = current_database()", [appName])).rowCount === 0, 30_000);
    const after = await counted(database);
    const [orders, jobs] = [after.orders - before.orders, after.jobs - before.jobs];
    const broken: string[] = [];
    if (orders !== jobs) broken.push(`${orders} orders and ${jobs} jobs are there`);
    if (after.pairs !== after.orders) broken.push("an order is there without its job");
    if (wasTold && jobs !== 1) broken.push(`the app was told that it had worked, and ${jobs} jobs are there`);
    if (jobs > 1) broken.push("it was enqueued more than once");
    return { at, messages: proxied.passed, broken, told: wasTold, there: jobs === 1 };
  } finally {
    await outbox.close();
    await proxied.close();
  }
}

async function counted(database: TestDatabase): Promise<{ orders: number; jobs: number; pairs: number }> {
  const { rows } = await database.pool.query<{ orders: number; jobs: number; pairs: number }>(
    "select (select count(*)::integer from orders) as orders, (select count(*)::integer from outbox) as jobs, (select count(*)::integer from orders join outbox on id = job) as pairs",
  );
  const [row] = rows;
  if (row === undefined) throw new Error("counting gave no row");
  return row;
}
