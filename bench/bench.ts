// The bench that rows are given: processes, databases, alternating runs.

import { join } from "node:path";
import { monotonicMs } from "./measure.ts";
import type { Operations } from "./operations.ts";
import { startProcess } from "./process.ts";
import type { Bench, Figure } from "./row.ts";
import type { Server } from "./server.ts";
import { openServer } from "./server.ts";

export interface BenchOptions {
  readonly server: Server;
  readonly scripts: string;
  readonly runs: number;
  readonly scale: number;
  /** Told of every further server, so that it is closed whatever happens. */
  readonly onServer: (server: Server) => void;
  readonly isStopping: () => boolean;
}

export function createBench({ server, scripts, runs, scale, onServer, isStopping }: BenchOptions): Bench {
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  return {
    server,
    runs,
    scale,
    say,
    scaled: (jobs, atLeast = 100) => Math.max(atLeast, Math.round(jobs * scale)),
    async serverWith(settings) {
      const other = await openServer("postgres-other", settings);
      onServer(other);
      return other;
    },
    start: (contender, url) => startProcess<Operations>(join(scripts, "child.mjs"), [contender, url]),
    startScript: (script, url) => startProcess(join(scripts, `${script}.mjs`), [script, url]),
    async alternate(variants, run) {
      const figures = variants.map((variant) => ({ variant, runs: new Map<string, number[]>(), failures: [] as string[] }));
      for (let round = 1; round <= runs; round += 1) {
        for (const figure of figures) {
          const startedAt = monotonicMs();
          try {
            const measured = await run(figure.variant);
            for (const [name, value] of Object.entries(measured)) figure.runs.set(name, [...(figure.runs.get(name) ?? []), value]);
            const [first] = Object.entries(measured);
            say(`  ${round}/${runs}  ${labelOf(figure.variant)}: ${first === undefined ? "" : `${first[0]} ${format(first[1])}`}  (${Math.round((monotonicMs() - startedAt) / 1000)} s)`);
          } catch (error) {
            if (isStopping()) await new Promise(() => undefined); // interrupted: whoever did it ends the process
            const reason = error instanceof Error ? error.message : String(error);
            figure.failures.push(reason);
            say(`  ${round}/${runs}  ${labelOf(figure.variant)}: FAILED: ${reason}`);
          }
        }
      }
      return figures.map(({ variant, runs, failures }): Figure => ({
        contender: contenderOf(variant),
        settings: variant.label,
        runs: Object.fromEntries(runs),
        ...(failures.length === 0 ? {} : { failure: failures.join("; ") }),
      }));
    },
  };
}

function contenderOf(variant: object): string {
  return "contender" in variant && typeof variant.contender === "string" ? variant.contender : "postcommit";
}

const labelOf = (variant: { readonly label: string }): string => `${contenderOf(variant)}, ${variant.label}`;
const format = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(2));
