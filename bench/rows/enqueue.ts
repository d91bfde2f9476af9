// What it costs to enqueue: a thousand in one call, and the triggers on a busy outbox.

import type { Variant } from "../contenders/contender.ts";
import type { Bench, Row } from "../row.ts";
import { settle, withClient } from "./drain-run.ts";
import { ours20x1 } from "./settings.ts";
import { againstBestPeer, bestOf, ratio } from "./verdicts.ts";

const stepTimeoutMs = 300_000;

const contenders: readonly Variant[] = [
  { ...ours20x1, label: "enqueueMany in a transaction of the app's" },
  { contender: "pg-boss", label: "insert", settings: { via: "fetch", batch: 1, loops: 1 } },
  { contender: "graphile-worker", label: "addJobs", settings: { concurrency: 1, localQueue: null, batchDelayMs: null } },
];

export const enqueueThousand: Row = {
  id: "enqueue-1000",
  title: "enqueue of 1,000 in one call",
  async measure(bench) {
    const calls = bench.scaled(100, 10);
    const size = 1000;
    const figures = await bench.alternate(contenders, async (variant) => {
      const url = await bench.server.createDatabase(`enqueue ${variant.contender}`);
      const producer = await bench.start(variant.contender, url);
      try {
        await producer.ask("setup", { doorbell: false }, stepTimeoutMs);
        await settle(url);
        const { ms } = await producer.ask("enqueueBatches", { size, calls, warmUpCalls: 10 }, stepTimeoutMs);
        return { "jobs/s": (calls * size * 1000) / ms, "calls/s": (calls * 1000) / ms };
      } finally {
        await producer.close();
        await bench.server.dropDatabase(url);
      }
    });
    return {
      verdicts: [againstBestPeer(figures, "jobs/s", { atLeast: 1.3, unit: "" })],
      figures,
      notes: [`${calls} calls, one after the other, by one client. Ours is inside begin and commit, which are counted; the peers' calls commit by themselves.`],
    };
  },
};

/** Handlers that wait keep every slot of the worker taken: it is busy, and leaves the processors to the clients. */
const busyHandlerMs = 10;

async function commitsOnce(bench: Bench, triggers: boolean): Promise<Record<string, number>> {
  const url = await bench.server.createDatabase("commits");
  const producer = await bench.start("postcommit", url);
  const worker = await bench.start("postcommit", url);
  try {
    await producer.ask("setup", { doorbell: true }, stepTimeoutMs);
    if (!triggers) await withClient(url, (client) => client.query("alter table outbox disable trigger user"));
    await producer.ask("preload", { jobs: 20_000, from: 0, payloadBytes: 0, keys: null }, stepTimeoutMs);
    await settle(url);
    await worker.ask("startWorker", { settings: ours20x1.settings, handlerMs: busyHandlerMs }, stepTimeoutMs);
    const seconds = Math.max(2, Math.round(10 * bench.scale));
    await producer.ask("commitOneEach", { clients: 16, seconds: 1, from: 100_000 }, stepTimeoutMs);
    const { commits, ms } = await producer.ask("commitOneEach", { clients: 16, seconds, from: 200_000 }, stepTimeoutMs);
    return { "commits/s": (commits / ms) * 1000 };
  } finally {
    await producer.close();
    await worker.ask("stopWorker", {}, stepTimeoutMs).catch(() => undefined); // its figures are not needed
    await worker.close();
    await bench.server.dropDatabase(url);
  }
}

export const commitsWithTriggers: Row = {
  id: "commits",
  title: "commits with one enqueue each, 16 clients, busy worker, against no trigger",
  async measure(bench) {
    const variants = [
      { label: "with the triggers", triggers: true },
      { label: "alter table outbox disable trigger user", triggers: false },
    ];
    const figures = await bench.alternate(variants, ({ triggers }) => commitsOnce(bench, triggers));
    return {
      verdicts: [ratio("", "commits/s", bestOf(figures.slice(0, 1), "commits/s", () => true), bestOf(figures.slice(1), "commits/s", () => true), { atLeast: 0.85, unit: "" })],
      figures,
      notes: [`begin, enqueue, commit, as often as 16 clients can, while a worker with 20 slots runs jobs of ${busyHandlerMs} ms from a backlog of 20,000 that grows.`],
    };
  },
};
