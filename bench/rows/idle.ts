// What a worker costs that has nothing to do.

import { setTimeout as pause } from "node:timers/promises";
import type { Variant } from "../contenders/contender.ts";
import type { Bench, Row } from "../row.ts";
import type { Server } from "../server.ts";
import { withClient } from "./drain-run.ts";
import { bossIdle, graphileDirect, graphileQueued, ours20x1 } from "./settings.ts";
import { absolute, inWords, isPeer, medianOf } from "./verdicts.ts";

const stepTimeoutMs = 60_000;

const contenders: readonly Variant[] = [
  ours20x1,
  bossIdle,
  graphileDirect,
  graphileQueued,
];

async function idleOnce(bench: Bench, server: Server, variant: Variant): Promise<Record<string, number>> {
  const seconds = Math.max(5, Math.round(20 * bench.scale));
  const url = await server.createDatabase(`idle ${variant.contender}`);
  const setup = await bench.start(variant.contender, url);
  const worker = await bench.start(variant.contender, url);
  try {
    await setup.ask("setup", { doorbell: true }, stepTimeoutMs);
    await setup.close();
    await withClient(url, (client) => client.query("create extension pg_stat_statements"));
    await worker.ask("startWorker", { settings: variant.settings, handlerMs: 0 }, stepTimeoutMs);
    await pause(3000); // connecting and the first looks are over
    return await withClient(url, async (client) => {
      await client.query("select pg_stat_statements_reset()");
      await worker.ask("usage", {}, stepTimeoutMs);
      let worstOpenMs = 0;
      for (let second = 0; second < seconds * 4; second += 1) {
        await pause(250);
        const { rows } = await client.query<{ ms: number }>(
          `select coalesce(max(extract(epoch from clock_timestamp() - xact_start)) * 1000, 0)::float8 as ms from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'`,
        );
        worstOpenMs = Math.max(worstOpenMs, rows[0]?.ms ?? 0);
      }
      const { ms, cpuMs, rssMb } = await worker.ask("usage", {}, stepTimeoutMs);
      // Statements inside functions are not counted; of the measurer's own, all name pg_stat_.
      const { rows } = await client.query<{ calls: number }>(
        `select coalesce(sum(calls), 0)::float8 as calls from pg_stat_statements
         where dbid = (select oid from pg_database where datname = current_database()) and query not like '%pg\\_stat\\_%'`,
      );
      return { "queries/s": ((rows[0]?.calls ?? Number.NaN) * 1000) / ms, "CPU, %": (cpuMs / ms) * 100, "RSS, MB": rssMb, "longest idle in transaction, ms": worstOpenMs };
    });
  } finally {
    await setup.close();
    await worker.ask("stopWorker", {}, stepTimeoutMs).catch(() => undefined); // nothing has started
    await worker.close();
    await server.dropDatabase(url);
  }
}

export const idleWorker: Row = {
  id: "idle",
  title: "idle worker",
  async measure(bench) {
    const server = await bench.serverWith({ shared_preload_libraries: "pg_stat_statements", "pg_stat_statements.track": "top" });
    try {
      const figures = await bench.alternate(contenders, (variant) => idleOnce(bench, server, variant));
      const [ours] = figures;
      const peers = (name: string) => figures.filter(isPeer).map((figure) => `${figure.contender} ${inWords(medianOf(figure, name) ?? Number.NaN)}`).join(", ");
      return {
        verdicts: [
          absolute("queries per second", ours, "queries/s", { atMost: 1, unit: "/s" }, peers("queries/s")),
          absolute("CPU of the process", ours, "CPU, %", { atMost: 1, unit: "%" }, peers("CPU, %")),
          absolute("open transactions", ours, "longest idle in transaction, ms", { atMost: 0, unit: "ms" }, peers("longest idle in transaction, ms")),
          absolute("RSS", ours, "RSS, MB", { atMost: 90, unit: "MB" }, peers("RSS, MB")),
        ],
        figures,
        notes: ["Queries are the calls that pg_stat_statements counted, on a server of its own with that library; begin, commit and beats count. Open transactions were looked for four times a second."],
      };
    } finally {
      await server.close();
    }
  },
};
