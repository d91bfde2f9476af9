// The settings that each contender is measured with. Peers get several, and their best counts.

import type { Variant } from "../contenders/contender.ts";

export const ours20x1: Variant = { contender: "postcommit", label: "batch 20, concurrency 20 (1 claim at a time)", settings: { batch: 20, concurrency: 20 } };
export const ours20x4: Variant = { contender: "postcommit", label: "batch 20, concurrency 80 (4 claims at a time)", settings: { batch: 20, concurrency: 80 } };
export const oursBest: Variant = { contender: "postcommit", label: "batch 500, concurrency 2000", settings: { batch: 500, concurrency: 2000 } };

const bossFetch = (batch: number, loops: number): Variant => ({ contender: "pg-boss", label: `fetch(${batch}) + complete, ${loops} ${loops === 1 ? "loop" : "loops"}`, settings: { via: "fetch", batch, loops } });
const bossWork = (batch: number, loops: number): Variant => ({
  contender: "pg-boss",
  label: `work, batchSize ${batch}, localConcurrency ${loops}, burstWhenBatchFull`,
  settings: { via: "work", batch, loops },
});
const graphile = (concurrency: number, localQueue: number | null, batchDelayMs: number | null): Variant => ({
  contender: "graphile-worker",
  label: `concurrentJobs ${concurrency}, ${localQueue === null ? "no localQueue" : `localQueue.size ${localQueue}`}, ${batchDelayMs === null ? "completions one by one" : `completeJobBatchDelay and failJobBatchDelay ${batchDelayMs}`}`,
  settings: { concurrency, localQueue, batchDelayMs },
});

export const boss20x4 = bossFetch(20, 4);
export const graphile20 = graphile(20, 20, 0);
export const bossBest = bossFetch(500, 4);
/** As https://worker.graphile.org/docs/performance has it. */
export const graphileBest = graphile(24, 500, 0);
export const graphile80 = graphile(80, 80, 0);

export const atBatch20: readonly Variant[] = [ours20x1, ours20x4, bossFetch(20, 1), boss20x4, bossWork(20, 1), bossWork(20, 4), graphile20, graphile(20, 20, null)];
export const atTheirBest: readonly Variant[] = [oursBest, bossBest, bossWork(500, 4), graphileBest, graphile(100, 500, 0)];

/** For latency: as many jobs at once as ours, and a wake-up for each. */
const bossNotify = (loops: number): Variant => ({
  contender: "pg-boss",
  label: `work, useListenNotify, batchSize 20, localConcurrency ${loops}, burstWhenBatchFull, notifyPollingIntervalSeconds 1`,
  settings: { via: "work", batch: 20, loops, notify: true, notifyPollSeconds: 1 },
});
export const bossNotify1 = bossNotify(1);
export const bossNotify4 = bossNotify(4);
/** As pg-boss comes: with its own monitoring, and a look every 30 s beside NOTIFY. */
export const bossIdle: Variant = { contender: "pg-boss", label: "work, useListenNotify, batchSize 20, everything else as it comes", settings: { via: "work", batch: 20, loops: 1, notify: true, supervise: true } };
export const graphileDirect: Variant = graphile(20, null, null);
export const graphileQueued: Variant = graphile(20, 20, 0);
