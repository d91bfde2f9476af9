// postcommit, through its public surface. It has no option for parallel claims: they come by themselves when `concurrency`
// is greater than `batch`.

import pg from "pg";
import { createOutbox, defineJob, handle } from "../../src/index.ts";
import type { EnqueueOptions } from "../../src/index.ts";
import { migrate, migrationsDir } from "../internals.ts";
import type { Contender, Payload } from "./contender.ts";

export interface PostcommitSettings {
  readonly batch: number;
  readonly concurrency: number;
  /** Jobs that one drain takes, at most. */
  readonly maxJobs?: number;
}

const job = defineJob<Payload>({ type: "bench" });

export function openPostcommit(url: string): Contender<PostcommitSettings> {
  const outbox = createOutbox({ connection: url });
  // Bulk inserts go through a transaction of the app's own, as they would in one.
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  return {
    setup: async () => {
      await migrate(url, migrationsDir);
    },
    open: async () => {
      await outbox.counts();
    },
    enqueue: async (payload) => {
      await outbox.enqueueAlone(job, payload);
    },
    enqueueIn: async (client, payload) => {
      await outbox.enqueue(client, job, payload);
    },
    async enqueueMany(payloads, { keys }) {
      const jobs = payloads.map((payload) => job.job(payload, keys === undefined ? {} : keyed(payload.n % keys)));
      const client = await pool.connect();
      try {
        await client.query("begin");
        await outbox.enqueueMany(client, jobs);
        await client.query("commit");
      } finally {
        client.release();
      }
    },
    async drain({ batch, concurrency, maxJobs }, { handler, begun }) {
      begun();
      await outbox.drain({ handlers: [handle(job, handler)], batch, concurrency, ...(maxJobs === undefined ? {} : { maxJobs }) });
    },
    work({ batch, concurrency }, handler) {
      const worker = outbox.worker({ handlers: [handle(job, handler)], batch, concurrency });
      const ended = worker.start();
      ended.catch((error: unknown) => process.emitWarning(`the worker ended: ${String(error)}`));
      return Promise.resolve(async () => {
        await worker.stop();
        await ended;
      });
    },
    async counts() {
      const { rows } = await pool.query<{ unfinished: number; done: number; repeated: number }>(
        `select count(*) filter (where status <> 'done')::int as unfinished,
                count(*) filter (where status = 'done')::int as done,
                count(*) filter (where attempts > 1)::int as repeated
         from outbox`,
      );
      return rows[0] ?? { unfinished: -1, done: -1, repeated: -1 };
    },
    async close() {
      await pool.end();
      await outbox.close();
    },
  };
}

/** The option's type is widened because the benchmark also measures versions that do not have it yet. */
function keyed(key: number): EnqueueOptions {
  const options: EnqueueOptions & { orderingKey?: string } = { orderingKey: `key-${key}` };
  return options;
}
