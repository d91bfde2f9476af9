// pg-boss 12, as https://pgboss.io documents it: `fetch` + `complete` in loops of one's own, or `work`.

import { setTimeout as pause } from "node:timers/promises";
import { PgBoss } from "pg-boss";
import type { Job } from "pg-boss";
import pg from "pg";
import type { Contender, Handler, Payload } from "./contender.ts";

export interface PgBossSettings {
  readonly via: "fetch" | "work";
  readonly batch: number;
  readonly loops: number;
  /** LISTEN/NOTIFY: the instance listens, and its queue notifies. */
  readonly notify?: boolean;
  /** How often it looks beside NOTIFY, which may be missed. */
  readonly notifyPollSeconds?: number;
  /** The instance's own monitoring and cron, which are on by default. Off in timed drains, in pg-boss's favour. */
  readonly supervise?: boolean;
}

const queue = "bench";

export function openPgBoss(url: string): Contender<PgBossSettings> {
  const sql = new pg.Pool({ connectionString: url, max: 2 });
  let opening: Promise<PgBoss> | null = null;
  const boss = (settings?: PgBossSettings) => (opening ??= start(url, settings));

  return {
    async setup({ doorbell }) {
      // The instance that sends has to know of NOTIFY too.
      await (await boss({ via: "work", batch: 1, loops: 1, notify: doorbell })).createQueue(queue, { notify: doorbell });
    },
    open: async (settings) => {
      await (await boss(settings)).getQueue(queue);
    },
    enqueue: async (payload) => {
      await (await boss()).send(queue, payload);
    },
    enqueueIn: async (client, payload) => {
      await (await boss()).send(queue, payload, { db: { executeSql: (text, values) => client.query(text, values) } });
    },
    enqueueMany: async (payloads, { keys }) => {
      if (keys !== undefined) throw new Error("pg-boss is not measured with ordering keys.");
      await (await boss()).insert(queue, payloads.map((data) => ({ data })));
    },
    async drain(settings, { total, handler, begun }) {
      const own = await boss(settings);
      begun();
      if (settings.via === "fetch") await fetchAll(own, settings, handler);
      else await workAll(own, settings, handler, total);
    },
    async work(settings, handler) {
      const own = await boss(settings);
      const { batch, loops, notifyPollSeconds } = settings;
      const options = { batchSize: batch, localConcurrency: loops, burstWhenBatchFull: true, pollingIntervalSeconds: 1 };
      await own.work<Payload>(queue, { ...options, ...(notifyPollSeconds === undefined ? {} : { notifyPollingIntervalSeconds: notifyPollSeconds }) }, (jobs) => runAll(jobs, handler));
      return () => own.offWork(queue, { wait: true });
    },
    async counts() {
      const { rows } = await sql.query<{ unfinished: number; done: number; repeated: number }>(
        `select count(*) filter (where state <> 'completed')::int as unfinished,
                count(*) filter (where state = 'completed')::int as done,
                count(*) filter (where retry_count > 0)::int as repeated
         from pgboss.job where name = $1`,
        [queue],
      );
      return rows[0] ?? { unfinished: -1, done: -1, repeated: -1 };
    },
    async close() {
      await (await opening)?.stop({ graceful: false });
      await sql.end();
    },
  };
}

async function start(url: string, settings?: PgBossSettings): Promise<PgBoss> {
  const supervise = settings?.supervise ?? false;
  const boss = new PgBoss({ connectionString: url, max: 10, supervise, schedule: supervise, useListenNotify: settings?.notify ?? false });
  boss.on("error", (error) => process.emitWarning(`pg-boss: ${error.message}`));
  await boss.start();
  return boss;
}

async function fetchAll(boss: PgBoss, { batch, loops }: PgBossSettings, handler: Handler): Promise<void> {
  const loop = async (): Promise<void> => {
    for (;;) {
      const jobs = await boss.fetch<Payload>(queue, { batchSize: batch });
      if (jobs.length === 0) return;
      await runAll(jobs, handler);
      await boss.complete(queue, jobs.map(({ id }) => id));
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}

/** `work` never ends by itself: it is over when every handler has run and offWork has waited for the last completion. */
async function workAll(boss: PgBoss, { batch, loops }: PgBossSettings, handler: Handler, total: number): Promise<void> {
  let ran = 0;
  await boss.work<Payload>(queue, { batchSize: batch, localConcurrency: loops, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }, async (jobs) => {
    await runAll(jobs, handler);
    ran += jobs.length;
  });
  while (ran < total) await pause(1);
  await boss.offWork(queue, { wait: true });
}

async function runAll(jobs: readonly Job<Payload>[], handler: Handler): Promise<void> {
  await Promise.all(jobs.map((job) => handler(job.data)));
}
