// A table of ours that lives through several drains, for the rows that ask what else being in it costs.

import type { Operations } from "../operations.ts";
import type { Remote } from "../process.ts";
import type { Bench } from "../row.ts";
import { settle, timedDrain, withClient } from "./drain-run.ts";
import { ours20x4 } from "./settings.ts";

const stepTimeoutMs = 1_800_000;
const warmUpJobs = 2000;

export interface Table {
  readonly url: string;
  /** Stores jobs that are due. */
  preload(jobs: number): Promise<void>;
  /** Drains all that is due: `jobs` stored for it, and whatever was left. */
  drain(jobs: number): Promise<Record<string, number>>;
  /** Drains the first `jobs` and leaves the others. */
  drainSome(jobs: number): Promise<Record<string, number>>;
  /** Drains `jobs` new ones with connections of their own, so that the database's settings count. */
  drainInNewSessions(jobs: number): Promise<Record<string, number>>;
  close(): Promise<void>;
}

export async function openTable(bench: Bench, name: string, doneRows: number): Promise<Table> {
  const url = await bench.server.createDatabase(name);
  let consumer: Remote<Operations> = await bench.start("postcommit", url);
  let stored = 0; // jobs so far; they are numbered
  let taken = 0;
  let done = doneRows;

  async function preload(jobs: number): Promise<void> {
    const producer = await bench.start("postcommit", url);
    try {
      await producer.ask("preload", { jobs, from: stored, payloadBytes: 0, keys: null }, stepTimeoutMs);
      stored += jobs;
    } finally {
      await producer.close();
    }
    await settle(url);
  }

  async function drain(): Promise<Record<string, number>> {
    const jobs = stored - taken;
    const figures = await timedDrain(bench.server, consumer, ours20x4, { jobs, from: taken, handlerMs: 0, doneBefore: done, lastFifth: false });
    taken += jobs;
    done += jobs;
    return figures;
  }

  await consumer.ask("setup", { doorbell: false }, stepTimeoutMs);
  if (doneRows > 0) await insertDone(url, doneRows);
  await preload(warmUpJobs);
  await consumer.ask("open", { settings: ours20x4.settings }, stepTimeoutMs);
  await drain();
  return {
    url,
    preload,
    async drain(jobs) {
      await preload(jobs);
      return drain();
    },
    async drainSome(jobs) {
      // Lanes are worked off oldest first, but in which order within a batch is not promised: so the numbers are not checked.
      const { ms, handled, repeated } = await consumer.ask("drain", { settings: { ...ours20x4.settings, maxJobs: jobs }, jobs: stored, from: 0, handlerMs: 0 }, stepTimeoutMs);
      if (handled !== jobs || repeated > 0) throw new Error(`Expected ${jobs} jobs to be handled once, got ${handled}, ${repeated} of them more than once.`);
      taken += jobs;
      done += jobs;
      return { "jobs/s": (jobs / ms) * 1000 };
    },
    async drainInNewSessions(jobs) {
      await preload(jobs);
      await consumer.close();
      consumer = await bench.start("postcommit", url);
      return drain();
    },
    async close() {
      await consumer.close();
      await bench.server.dropDatabase(url);
    },
  };
}

/** As they would be had they been enqueued and run, one each millisecond. Their ids are those of their time. */
async function insertDone(url: string, rows: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(
      `insert into outbox (id, type, payload, status, attempts, run_at, created_at, updated_at, started_at, finished_at)
       select uuidv7(moment - clock_timestamp()), 'bench', jsonb_build_object('n', n), 'done', 1, moment, moment, moment, moment, moment
       from generate_series(1, $1::int) as n
       cross join lateral (select clock_timestamp() - interval '1 day' - ($1 - n) * interval '1 millisecond' as moment) as at`,
      [rows],
    );
    await client.query("vacuum (analyze) outbox");
  });
}
