// One process that enqueues inside Prisma transactions, by postcommit and by what Prisma itself would do. Both insert into
// the same table over the same connection, in turn. Argument: the URL of the database.

import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "../../generated/prisma/client.ts";
import type { Prisma } from "../../generated/prisma/client.ts";
import { createOutbox, defineJob } from "../../src/index.ts";
import { serve } from "../channel.ts";
import { migrate, migrationsDir } from "../internals.ts";
import { median, monotonicMs } from "../measure.ts";

export interface PrismaOperations {
  setup(arg: Record<string, never>): Promise<void>;
  /** Median ms of one call with `size` jobs, both ways, from `calls` calls each. */
  compare(arg: { size: number; calls: number }): Promise<{ oursMs: number; theirsMs: number }>;
}

const [, url = ""] = process.argv.slice(2);
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 2 }) });
const outbox = createOutbox({ connection: url });
const job = defineJob<{ n: number }>({ type: "bench" });

const callsInTransaction = 50;

async function compare(size: number, calls: number): Promise<{ oursMs: number; theirsMs: number }> {
  const payloads = Array.from({ length: size }, (_, n) => ({ n }));
  const rows = payloads.map((payload) => ({ type: "bench", payload }));
  const ours = (tx: Prisma.TransactionClient): Promise<unknown> =>
    size === 1 ? outbox.enqueue(tx, job, { n: 0 }) : outbox.enqueueMany(tx, payloads.map((payload) => job.job(payload)));
  const theirs = (tx: Prisma.TransactionClient): Promise<unknown> => (size === 1 ? tx.outbox.create({ data: { type: "bench", payload: { n: 0 } } }) : tx.outbox.createMany({ data: rows }));
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let done = -callsInTransaction; done < calls; done += callsInTransaction) {
    await prisma.$transaction(
      async (tx) => {
        for (let call = 0; call < callsInTransaction; call += 1) {
          const oursMs = await timed(() => ours(tx));
          const theirsMs = await timed(() => theirs(tx));
          if (done < 0) continue; // the first transaction warms up
          times.ours.push(oursMs);
          times.theirs.push(theirsMs);
        }
      },
      { timeout: 60_000, maxWait: 10_000 },
    );
  }
  return { oursMs: median(times.ours), theirsMs: median(times.theirs) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = monotonicMs();
  await work();
  return monotonicMs() - startedAt;
}

const operations: PrismaOperations = {
  setup: async () => {
    await migrate(url, migrationsDir);
  },
  compare: ({ size, calls }) => compare(size, calls),
};

serve(operations, async () => {
  await prisma.$disconnect();
  await outbox.close();
});
