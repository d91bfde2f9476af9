// The worker of the soak: a handler that measures how long its job has waited, and every ten seconds a line of JSON about
// that into SOAK_FILE.

import { appendFileSync } from "node:fs";
import { defineConfig, handle } from "../../../dist/index.js";
import { now, soaked, windowMs } from "./job.js";

/** How many jobs have waited for how many tenths of a millisecond. */
let waits = new Map();
const file = process.env.SOAK_FILE;

if (file !== undefined) {
  setInterval(() => {
    const told = waits;
    waits = new Map();
    appendFileSync(file, `${JSON.stringify({ at: now(), rss: process.memoryUsage.rss(), cpuMs: process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000, waits: [...told] })}\n`);
  }, windowMs).unref();
}

export default defineConfig({
  retention: { done: "2m", cancelled: "2m", dead: "2m" },
  handlers: [
    handle(soaked, ({ at }) => {
      const tenths = Math.max(0, Math.round((now() - at) * 10));
      waits.set(tenths, (waits.get(tenths) ?? 0) + 1);
      return Promise.resolve();
    }),
  ],
});
