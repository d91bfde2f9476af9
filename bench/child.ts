// The process of one contender: carries out what the driver asks (operations.ts), the same way for all of them.
// Arguments: the contender and the URL of its database. It ends when the driver is gone.

import { serve } from "./channel.ts";
import type { Contender, ContenderName, Handler, Payload, Settings } from "./contenders/contender.ts";
import { monotonicMs } from "./measure.ts";
import type { DrainFigures, HandlerStart, Operations } from "./operations.ts";
import { commitOneEach, enqueueBatches, enqueueInOpenTransactions, enqueueOneByOne, preload } from "./produce.ts";
import { recorded } from "./record.ts";

const [name, url] = process.argv.slice(2) as [ContenderName, string]; // process.ts passes them
const contender = await contenderOf(name, url);

/** Only the one that is measured is loaded, so that its memory is its own. */
async function contenderOf(name: ContenderName, url: string): Promise<Contender<Settings>> {
  // Each takes its own settings only; the driver sends each its own.
  switch (name) {
    case "postcommit":
      return (await import("./contenders/postcommit.ts")).openPostcommit(url);
    case "pg-boss":
      return (await import("./contenders/pg-boss.ts")).openPgBoss(url);
    case "graphile-worker":
      return (await import("./contenders/graphile-worker.ts")).openGraphileWorker(url);
  }
}

/** A drain reports when each of this many parts had been handled. */
const parts = 20;

async function drain(settings: Settings, jobs: number, from: number, handlerMs: number): Promise<DrainFigures> {
  const times = new Uint8Array(jobs);
  const marks: number[] = [];
  const part = Math.ceil(jobs / parts);
  let handled = 0;
  let begunAt = Number.NaN;
  let cpu = process.cpuUsage();
  const handle: Handler = async ({ n }) => {
    if (handlerMs > 0) await elapsed(handlerMs);
    times[n - from] = (times[n - from] ?? 0) + 1;
    handled += 1;
    if (handled % part === 0 || handled === jobs) marks.push(monotonicMs() - begunAt);
  };
  const begun = () => {
    cpu = process.cpuUsage();
    begunAt = monotonicMs();
  };
  await contender.drain(settings, { total: jobs, handler: handle, begun });
  const ms = monotonicMs() - begunAt;
  const { user, system } = process.cpuUsage(cpu);
  return {
    ms,
    marks,
    handled,
    repeated: times.filter((count) => count > 1).length,
    cpuMs: (user + system) / 1000,
    peakRssMb: process.resourceUsage().maxRSS / 1024,
  };
}

const elapsed = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

let working: { stop: () => Promise<void>; starts: HandlerStart[] } | null = null;
let usedAt = monotonicMs();
let used = process.cpuUsage();

const operations: Operations = {
  setup: (options) => contender.setup(options),
  open: ({ settings }) => contender.open(settings),
  preload: (options) => preload(contender, options),
  drain: ({ settings, jobs, from, handlerMs }) => drain(settings, jobs, from, handlerMs),
  record: ({ settings, jobs, from }) => recorded(() => drain(settings, jobs, from, 0)),
  counts: () => contender.counts(),
  async startWorker({ settings, handlerMs }) {
    const starts: HandlerStart[] = [];
    const handle = async ({ n }: Payload) => {
      starts.push({ n, at: monotonicMs() });
      if (handlerMs > 0) await elapsed(handlerMs);
    };
    working = { stop: await contender.work(settings, handle), starts };
  },
  async stopWorker() {
    const starts = working?.starts ?? [];
    await working?.stop();
    working = null;
    return { starts };
  },
  enqueueOneByOne: (options) => enqueueOneByOne(contender, options),
  enqueueInOpenTransactions: (options) => enqueueInOpenTransactions(contender, url, options),
  enqueueBatches: (options) => enqueueBatches(contender, options),
  commitOneEach: (options) => commitOneEach(contender, url, options),
  usage() {
    const { user, system } = process.cpuUsage(used);
    const ms = monotonicMs() - usedAt;
    used = process.cpuUsage();
    usedAt = monotonicMs();
    return Promise.resolve({ ms, cpuMs: (user + system) / 1000, rssMb: process.memoryUsage().rss / 2 ** 20 });
  },
};

serve(operations, () => contender.close());
