// Rows about how fast a backlog is worked off: at batch 20, at each contender's best, with handlers that take time, with
// payloads that have a size; and what it costs in processor time and memory.

import type { Row } from "../row.ts";
import { drainOnce } from "./drain-run.ts";
import { atBatch20, atTheirBest, boss20x4, graphile20, graphile80, ours20x1, ours20x4 } from "./settings.ts";
import { againstBestPeer } from "./verdicts.ts";

export const drainAtBatch20: Row = {
  id: "drain-20",
  title: "drain, batch 20, best loops, against the better of pg-boss 12 and graphile-worker 0.18 at 20",
  async measure(bench) {
    const jobs = bench.scaled(50_000, 1000);
    const figures = await bench.alternate(atBatch20, (variant) => drainOnce(bench, variant, { jobs }));
    return {
      verdicts: [againstBestPeer(figures, "jobs/s", { atLeast: 2.0, unit: "" })],
      figures,
      notes: [`${jobs.toLocaleString("en")} jobs with a handler that does nothing. Processor time and memory are those of the process that drains, and of the whole server.`],
    };
  },
};

export const drainAtBest: Row = {
  id: "drain-best",
  title: "drain, best settings of each",
  async measure(bench) {
    const jobs = bench.scaled(100_000, 2000);
    const figures = await bench.alternate(atTheirBest, (variant) => drainOnce(bench, variant, { jobs }));
    return { verdicts: [againstBestPeer(figures, "jobs/s", { atLeast: 1.4, unit: "" })], figures, notes: [`${jobs.toLocaleString("en")} jobs with a handler that does nothing.`] };
  },
};

export const drainOfWork: Row = {
  id: "drain-1ms",
  title: "drain, handlers that wait 1 ms",
  async measure(bench) {
    const jobs = bench.scaled(50_000, 1000);
    const figures = await bench.alternate([ours20x1, ours20x4, boss20x4, graphile20, graphile80], (variant) => drainOnce(bench, variant, { jobs, handlerMs: 1 }));
    return { verdicts: [againstBestPeer(figures, "jobs/s", null)], figures, notes: ["The same drain with `await setTimeout(1)` in every handler: not tuned to handlers that do nothing."] };
  },
};

export const drainOfPayloads: Row = {
  id: "drain-2kb",
  title: "drain, payloads of 2 KB",
  async measure(bench) {
    const jobs = bench.scaled(50_000, 1000);
    const figures = await bench.alternate([ours20x1, ours20x4, boss20x4, graphile20], (variant) => drainOnce(bench, variant, { jobs, payloadBytes: 2000 }));
    return { verdicts: [againstBestPeer(figures, "jobs/s", null)], figures, notes: ["The same drain with 2,000 random base64 characters in every payload."] };
  },
};
