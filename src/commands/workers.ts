// workers: which workers and drains there are, whether they live, and what they run.

import type { Command } from "commander";
import type { ListedWorker } from "../outbox/inspect-workers.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import type { OutputRow } from "./output.ts";
import { note, printRows } from "./output.ts";
import { withService } from "./with-service.ts";

export function workers(program: Command, context: CommandContext): void {
  program
    .command("workers")
    .description("show the workers and drains that are there, and what they run")
    .option("--json", "print one JSON document")
    .option("--ndjson", "print one JSON document a line")
    .addHelpText("before", "Examples:\n  npm run app:cli workers\n  npm run -s app:cli -- workers --json\n  npm run app:cli doctor\n")
    .addHelpText("after", "\nA worker that has been silent for longer than its lease is dead: the next drain or worker returns its jobs.\n\nExit codes: 0 done (also when there is none), 69 database unreachable, 78 configuration.")
    .action(async ({ json = false, ndjson = false }: { json?: boolean; ndjson?: boolean }) => {
      const { listWorkers } = await import("../outbox/inspect-workers.ts");
      await withService(context, async (service) => {
        const listed = await listWorkers(service.database);
        const rows = json || ndjson ? listed.map((worker) => ({ ...worker })) : listed.map(shown);
        await printRows(context.io, rows, { json, ndjson }, ["host", "pid", "state", "running", "beat", "lease", "since", "version", "types", "id"]);
        for (const { alive, host, pid, running } of listed) {
          if (!alive) await note(context.io, {}, `The worker on ${visible(host)} (process ${pid}) is dead or blocked${running > 0 ? `; its ${running} running go back with the next drain: npm run app:cli jobs:drain` : "."}`);
        }
      });
    });
}

/** A worker as one line of a table. */
function shown({ host, pid, alive, listening, running, silentMs, leaseMs, startedAt, version, types, versions, locks, id }: ListedWorker): OutputRow {
  const doing = running > 0 ? "running" : listening ? "asleep" : "looking";
  return {
    host,
    pid,
    state: [alive ? doing : "silent", ...locks.map((name) => `holds ${name}`)].join(", "),
    running,
    beat: `${(silentMs / 1000).toFixed(1)} s ago`,
    lease: `${leaseMs / 1000} s`,
    since: startedAt,
    version,
    types: types.map((type, index) => ((versions[index] ?? 1) === 1 ? type : `${type} v${versions[index] ?? ""}`)).join(", "),
    id,
  };
}
