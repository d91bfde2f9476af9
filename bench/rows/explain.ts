// What one claim reads: auto_explain logs the plans of a real drain, in a session that is set up for it by its database.
// No knowledge of the engine's SQL is in here, but that a claim skips locked rows.

import { readFile } from "node:fs/promises";
import { median } from "../measure.ts";
import type { Bench } from "../row.ts";
import { withClient } from "./drain-run.ts";
import type { Table } from "./table.ts";

export interface ClaimCost {
  readonly figures: Readonly<Record<string, number>>;
  /** The plan of a claim in the middle of the field. */
  readonly plan: string;
}

export async function explainClaims(bench: Bench, table: Table): Promise<ClaimCost> {
  const database = new URL(table.url).pathname.slice(1);
  await withClient(table.url, async (client) => {
    for (const [name, value] of Object.entries({
      session_preload_libraries: "auto_explain",
      "auto_explain.log_min_duration": "0",
      "auto_explain.log_analyze": "on",
      "auto_explain.log_buffers": "on",
    })) {
      await client.query(`alter database ${client.escapeIdentifier(database)} set ${name} = ${client.escapeLiteral(value)}`);
    }
  });
  const before = (await readFile(bench.server.log, "utf8")).length;
  await table.drainInNewSessions(2000);
  const plans = plansIn((await readFile(bench.server.log, "utf8")).slice(before)).filter(({ text }) => /skip locked/i.test(text) && taken(text));
  await withClient(table.url, (client) => client.query(`alter database ${client.escapeIdentifier(database)} reset all`));
  const sorted = plans.sort((a, b) => a.buffers - b.buffers);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("auto_explain logged no claim.");
  return {
    figures: {
      "buffers a claim, median": median(plans.map(({ buffers }) => buffers)),
      "buffers a claim, worst": Math.max(...plans.map(({ buffers }) => buffers)),
      "ms a claim, median (while being explained)": median(plans.map(({ ms }) => ms)),
    },
    plan: middle.text,
  };
}

interface Plan {
  readonly text: string;
  readonly ms: number;
  readonly buffers: number;
}

/** An entry's first line has the time; the others begin with a tab. */
function plansIn(log: string): Plan[] {
  return [...log.matchAll(/duration: ([\d.]+) ms {2}plan:\n((?:\t.*\n)+)/g)].map(([, ms, text = ""]) => ({
    ms: Number(ms),
    text: text.replaceAll(/^\t/gm, ""),
    buffers: buffersOf(text),
  }));
}

/** Of the topmost node, which contains those below it. */
function buffersOf(text: string): number {
  const [, line = ""] = /Buffers: shared ([^\n,]*)/.exec(text) ?? [];
  return [...line.matchAll(/(?:hit|read)=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** A claim that came back with rows: the last ones of a drain find nothing. */
const taken = (text: string): boolean => /Update on (?:public\.)?outbox[^\n]*actual[^\n]*rows=[1-9]/.test(text);
