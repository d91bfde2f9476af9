// Prints what a soak has shown, and writes docs/reference/soak.md and soak.png.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { machineFacts } from "../server.ts";
import { picture } from "./picture.ts";
import type { Soak } from "./record.ts";
import type { Verdict } from "./verdict.ts";
import { verdicts } from "./verdict.ts";

/** `folder`: where the page and the picture go; null: the picture only, beside the record. */
export async function publish(soak: Soak, folder: string | null, pictureFile = "soak.png"): Promise<void> {
  const all = verdicts(soak);
  for (const { what, value, bar, met } of all) process.stdout.write(`${met === false ? "MISSED  " : "        "}${what}: ${value}${bar === null ? "" : ` (bar: ${bar})`}\n`);
  if (folder === null) return writeFile(pictureFile, picture(soak));
  await writeFile(join(folder, "soak.png"), picture(soak));
  await writeFile(join(folder, "soak.md"), page(soak, all));
}

function page({ plan, startedAt, versions }: Soak, all: readonly Verdict[]): string {
  const { cores } = machineFacts();
  return `# The soak

Half an hour of steady load, with retention on and a session that holds a snapshot for ten minutes, as a report, a dump or a
forgotten debugger does. Written by \`bench/soak\`; to run it, with nothing else on the machine:

    npm ci && npm run build
    cd bench && npm ci --ignore-scripts && npm run soak

${plan.perSecond} transactions a second over 16 connections each write an order and enqueue its job; they begin when their time has come, however
fast the database answers. One worker (\`jobs:worker\`, the built program, its defaults) runs them. Finished jobs are kept for two
minutes, and the worker deletes them as it goes; Postgres has default durability and Debian's autovacuum settings but for those of our
migration. The worker measures how long each job has waited from the call of \`enqueue\`, so the commit is in it.

${new Date(startedAt).toISOString().slice(0, 10)}, ${cores} cores for everything (load, worker, Postgres), ${versions}:

| | measured | bar | |
|---|---|---|---|
${all.map(({ what, value, bar, met }) => `| ${what} | ${value} | ${bar ?? ""} | ${met === null ? "" : met ? "met" : "**missed**"} |`).join("\n")}

![The same over time](soak.png)
`;
}
