// How soon a job starts: on an idle worker, and while many clients keep their transactions open after the enqueue.

import type { Variant } from "../contenders/contender.ts";
import { percentile } from "../measure.ts";
import type { EnqueueTimes, HandlerStart, Operations } from "../operations.ts";
import type { Remote } from "../process.ts";
import type { Bench, Figure, Row } from "../row.ts";
import { holdSnapshot, settle } from "./drain-run.ts";
import { bossNotify1, bossNotify4, graphileDirect, graphileQueued, ours20x1 } from "./settings.ts";
import { absolute, inWords, isPeer, medianOf } from "./verdicts.ts";

const stepTimeoutMs = 120_000;
const warmUpJobs = 50;
const contenders: readonly Variant[] = [ours20x1, bossNotify1, bossNotify4, graphileDirect, graphileQueued];

interface LatencyRun {
  readonly doorbell: boolean;
  readonly snapshotHeld: boolean;
  /** Gives back when each job was enqueued. */
  readonly enqueue: (producer: Remote<Operations>, from: number) => Promise<readonly EnqueueTimes[]>;
}

async function latencyOnce(bench: Bench, variant: Variant, { doorbell, snapshotHeld, enqueue }: LatencyRun): Promise<Record<string, number>> {
  const url = await bench.server.createDatabase(`latency ${variant.contender}`);
  const producer = await bench.start(variant.contender, url);
  const consumer = await bench.start(variant.contender, url);
  let release: () => Promise<void> = () => Promise.resolve();
  try {
    await producer.ask("setup", { doorbell }, stepTimeoutMs);
    await settle(url);
    await consumer.ask("open", { settings: variant.settings }, stepTimeoutMs);
    await consumer.ask("startWorker", { settings: variant.settings, handlerMs: 0 }, stepTimeoutMs);
    await producer.ask("enqueueOneByOne", { jobs: warmUpJobs, from: 0 }, stepTimeoutMs);
    if (snapshotHeld) release = await holdSnapshot(url);
    const enqueued = await enqueue(producer, warmUpJobs);
    await allDone(consumer);
    const { starts } = await consumer.ask("stopWorker", {}, stepTimeoutMs);
    return figuresOf(enqueued, starts);
  } finally {
    await release();
    await producer.close();
    await consumer.close();
    await bench.server.dropDatabase(url);
  }
}

async function allDone(consumer: Remote<Operations>): Promise<void> {
  const deadline = Date.now() + 45_000;
  while ((await consumer.ask("counts", {}, stepTimeoutMs)).unfinished > 0) {
    if (Date.now() > deadline) throw new Error("Jobs were still unfinished 45 s after the last enqueue.");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

function figuresOf(enqueued: readonly EnqueueTimes[], starts: readonly HandlerStart[]): Record<string, number> {
  const startOf = new Map(starts.map(({ n, at }) => [n, at]));
  if (startOf.size !== starts.length) throw new Error(`${starts.length - startOf.size} jobs were started more than once.`);
  const waits = (from: (times: EnqueueTimes) => number) =>
    enqueued.map((times) => {
      const at = startOf.get(times.n);
      if (at === undefined) throw new Error(`Job ${times.n} was enqueued and never started.`);
      return at - from(times);
    });
  const fromCall = waits(({ calledAt }) => calledAt);
  const fromSent = waits(({ commitSentAt }) => commitSentAt);
  // Below zero when the handler has started before the producer has heard that its commit is done.
  const fromCommitted = waits(({ committedAt }) => committedAt);
  return {
    "call to start p50, ms": percentile(fromCall, 50),
    "call to start p99, ms": percentile(fromCall, 99),
    "commit sent to start p50, ms": percentile(fromSent, 50),
    "commit sent to start p99, ms": percentile(fromSent, 99),
    "commit back to start p50, ms": percentile(fromCommitted, 50),
    "commit back to start p99, ms": percentile(fromCommitted, 99),
    "commit sent to start, worst, ms": Math.max(...fromSent),
    "jobs/s that were enqueued": (enqueued.length * 1000) / (Math.max(...enqueued.map(({ committedAt }) => committedAt)) - Math.min(...enqueued.map(({ calledAt }) => calledAt))),
  };
}

/** The least that a peer's settings reach, in words. */
function bestPeer(figures: readonly Figure[], name: string): string {
  const peers = figures.filter(isPeer).map((figure) => ({ contender: figure.contender, value: medianOf(figure, name) ?? Number.POSITIVE_INFINITY }));
  const best = peers.reduce<{ contender: string; value: number } | null>((least, each) => (least === null || each.value < least.value ? each : least), null);
  return best === null || !Number.isFinite(best.value) ? "failed" : `${inWords(best.value)} ms (${best.contender})`;
}

export const idleLatency: Row = {
  id: "latency-idle",
  title: "one job enqueued to handler start, idle worker",
  async measure(bench) {
    const jobs = bench.scaled(600, 100);
    const enqueue: LatencyRun["enqueue"] = (producer, from) => producer.ask("enqueueOneByOne", { jobs, from }, stepTimeoutMs);
    const figures = await bench.alternate(contenders, (variant) => latencyOnce(bench, variant, { doorbell: true, snapshotHeld: false, enqueue }));
    const [ours] = figures;
    return {
      verdicts: [
        absolute("p50, from before the enqueue", ours, "call to start p50, ms", { atMost: 1.5, unit: "ms" }, bestPeer(figures, "call to start p50, ms")),
        absolute("p99, from before the enqueue", ours, "call to start p99, ms", { atMost: 4, unit: "ms" }, bestPeer(figures, "call to start p99, ms")),
      ],
      figures,
      notes: [`${jobs} jobs, one at a time, 5 to 15 ms apart, enqueued by one process in a transaction of its own each and run by another. The time includes the enqueue and its commit.`],
    };
  },
};

export const openTransactionsLatency: Row = {
  id: "latency-open",
  title: "the same from 16 clients whose transactions stay open 20-50 ms after the enqueue, 500 jobs/s",
  async measure(bench) {
    const seconds = Math.max(3, Math.round(20 * bench.scale));
    const enqueue: LatencyRun["enqueue"] = (producer, from) =>
      producer.ask("enqueueInOpenTransactions", { clients: 16, jobsPerSecond: 500, seconds, jobsPerTransaction: 2, from }, stepTimeoutMs);
    const variants = [ours20x1, bossNotify4, graphileDirect, graphileQueued].flatMap((variant) =>
      [false, true].map((snapshotHeld) => ({ contender: variant.contender, variant, snapshotHeld, label: `${variant.label}, ${snapshotHeld ? "snapshot held" : "clean"}` })),
    );
    const figures = await bench.alternate(variants, ({ variant, snapshotHeld }) => latencyOnce(bench, variant, { doorbell: true, snapshotHeld, enqueue }));
    const of = (held: boolean) => figures.filter((_, nth) => variants[nth]?.snapshotHeld === held);
    const name = "commit sent to start p99, ms";
    return {
      verdicts: [false, true].map((held) => absolute(`p99, from the commit sent, ${held ? "snapshot held" : "clean"}`, of(held)[0], name, { atMost: 20, unit: "ms" }, bestPeer(of(held), name))),
      figures,
      notes: [
        `16 clients begin, enqueue, wait 20 to 50 ms, commit, for ${seconds} s. Each transaction enqueues two jobs: with one each, 16 clients that wait 35 ms cannot reach 500 jobs/s.`,
        "Counted from just before the commit is sent, which is more than from the moment when it is durable.",
      ],
    };
  },
};
