// graphile-worker 0.18, as https://worker.graphile.org documents it: `runOnce` to drain, `run` to work, `addJobs` in bulk.

import { EventEmitter } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { Logger, makeWorkerUtils, run, runOnce } from "graphile-worker";
import type { RunnerOptions, WorkerEvents, WorkerUtils } from "graphile-worker";
import pg from "pg";
import type { Contender, Handler, Payload } from "./contender.ts";

export interface GraphileSettings {
  readonly concurrency: number;
  /** Jobs that are locked ahead; null: each of `concurrency` loops asks for its own. */
  readonly localQueue: number | null;
  /** completeJobBatchDelay and failJobBatchDelay; null: a completion is a statement of its own. */
  readonly batchDelayMs: number | null;
}

const task = "bench";
/** Its log has a line for each job, which would be measured too. */
const logger = new Logger(() => () => undefined);

export function openGraphileWorker(url: string): Contender<GraphileSettings> {
  let pool: pg.Pool | null = null;
  let opening: Promise<WorkerUtils> | null = null;
  const poolOf = (max: number) => {
    if (pool === null) {
      pool = new pg.Pool({ connectionString: url, max });
      pool.on("error", () => undefined); // graphile-worker asks for such a listener
    }
    return pool;
  };
  const utils = () => (opening ??= makeWorkerUtils({ pgPool: poolOf(10), logger }));
  const options = (settings: GraphileSettings, handler: Handler, events: WorkerEvents): RunnerOptions => ({
    pgPool: poolOf(poolSize(settings)),
    logger,
    noHandleSignals: true,
    events,
    taskList: { [task]: (payload) => handler(payload as Payload) }, // what enqueue stored
    crontab: "",
    preset: {
      worker: {
        concurrentJobs: settings.concurrency,
        ...(settings.localQueue === null ? {} : { localQueue: { size: settings.localQueue } }),
        ...(settings.batchDelayMs === null ? {} : { completeJobBatchDelay: settings.batchDelayMs, failJobBatchDelay: settings.batchDelayMs }),
      },
    },
  });

  return {
    setup: async () => {
      await (await utils()).migrate();
    },
    open: async (settings) => {
      await poolOf(poolSize(settings)).query("select 1");
    },
    enqueue: async (payload) => {
      await (await utils()).addJob(task, payload);
    },
    enqueueIn: async (client, payload) => {
      await client.query("select graphile_worker.add_job($1, $2::json)", [task, JSON.stringify(payload)]);
    },
    enqueueMany: async (payloads, { keys }) => {
      if (keys !== undefined) throw new Error("graphile-worker is not measured with ordering keys.");
      await (await utils()).addJobs(payloads.map((payload) => ({ identifier: task, payload })));
    },
    async drain(settings, { handler, begun }) {
      const events: WorkerEvents = new EventEmitter();
      events.once("pool:create", begun); // the schema has been looked at by then
      await runOnce(options(settings, handler, events));
    },
    async work(settings, handler) {
      const events: WorkerEvents = new EventEmitter();
      const listening = new Promise((resolve) => events.once("pool:listen:success", resolve));
      const runner = await run(options(settings, handler, events));
      await Promise.race([listening, pause(5_000, undefined, { ref: false })]);
      return () => runner.stop();
    },
    async counts() {
      const { rows } = await poolOf(2).query<{ unfinished: number; repeated: number }>(
        "select count(*)::int as unfinished, count(*) filter (where attempts > 1)::int as repeated from graphile_worker.jobs",
      );
      return { unfinished: rows[0]?.unfinished ?? -1, done: null, repeated: rows[0]?.repeated ?? -1 };
    },
    async close() {
      await (await opening)?.release();
      await pool?.end();
    },
  };
}

/** As the documentation has it: concurrentJobs + 1 or more. */
const poolSize = ({ concurrency }: GraphileSettings): number => Math.max(10, concurrency + 2);
