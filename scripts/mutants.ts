// npm run mutants: takes the guards of postcommit out of a copy of the tree, one at a time, and shows that the suite notices
// each. What noticed goes into scripts/mutants/noticed.json, and from there into docs/reference/mutants.md.
//   --only NAME,…   these alone; the beginning of a name stands for all that begin so: --only fence,payload
//   --list          says which there are, and runs nothing
//   --whole         runs the whole suite against each, not only the tests that are expected to notice
// TEST_DATABASE_URL is the server to use; without it, an embedded one in var/mutants is started.
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openEmbedded } from "../src/service/embedded.ts";
import { mutants as all } from "./mutants/guards.ts";
import type { Mutant } from "./mutants/mutant.ts";
import { without } from "./mutants/mutant.ts";
import { page, pagePath, readNoticed, writeNoticed } from "./mutants/page.ts";
import type { Asked } from "./mutants/suite.ts";
import { idOf, runTests } from "./mutants/suite.ts";
import { copyOf } from "./mutants/tree.ts";
import type { Verdict } from "./mutants/verdict.ts";
import { verdictOn } from "./mutants/verdict.ts";

const root = dirname(import.meta.dirname);
const { values } = parseArgs({ options: { only: { type: "string" }, list: { type: "boolean", default: false }, whole: { type: "boolean", default: false } } });
const beginnings = values.only?.split(",") ?? [""];
const chosen = all.filter(({ name }) => beginnings.some((beginning) => name.startsWith(beginning)));
if (chosen.length === 0) throw new Error(`Expected --only to name mutants, or the beginnings of their names, got ${JSON.stringify(values.only)}. --list shows them.`);
for (const mutant of chosen) without(mutant, await readFile(join(root, mutant.file), "utf8"));

if (values.list) for (const { name, guard } of chosen) console.log(`${name.padEnd(28)}${guard}`);
else process.exitCode = await runAll();

async function runAll(): Promise<number> {
  const server = process.env.TEST_DATABASE_URL === undefined ? await openEmbedded({ dataDir: join(root, "var/mutants/postgres"), settings: { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "200" } }) : null;
  const databaseUrl = server?.url ?? process.env.TEST_DATABASE_URL ?? "";
  const tree = await copyOf(root);
  const end = () => void tree.remove().then(() => server?.close()).finally(() => process.exit(130));
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    const control = await runTests(tree.folder, databaseUrl, whichTests(chosen));
    for (const { file, test, message } of control.failures) console.log(`red without any mutant: ${file}, "${test}": ${message}`);
    if (control.broken !== "" || control.passed.size === 0) throw new Error(`The tests do not run without any mutant: ${control.broken}`);
    console.log(`control: ${control.passed.size} tests green with every guard in its place`);
    let unnoticed = 0;
    for (const [index, mutant] of chosen.entries()) {
      const run = await tree.mutated(mutant, values.whole || mutant.program === true, () => runTests(tree.folder, databaseUrl, { ...whichTests([mutant]), bail: true }));
      const verdict = verdictOn(mutant, run, { green: control.passed, whole: values.whole });
      console.log(`${index + 1} of ${chosen.length}  ${mutant.name}: ${sentence(verdict)}`);
      if (verdict.kind === "noticed") await writeNoticed(mutant, verdict.by);
      else unnoticed += 1;
    }
    console.log(`${chosen.length - unnoticed} of ${chosen.length} noticed`);
    await writeFile(join(root, pagePath), page(all, await readNoticed()));
    return unnoticed === 0 && control.failures.length === 0 ? 0 : 1;
  } finally {
    await tree.remove();
    await server?.close();
  }
}

/** The tests that are expected to notice them. */
function whichTests(some: readonly Mutant[]): Asked {
  if (values.whole) return {};
  const expected = some.flatMap(({ noticedBy }) => Object.entries(noticedBy));
  return { files: [...new Set(expected.map(([file]) => file))], names: [...new Set(expected.map(([, name]) => name))] };
}

function sentence(verdict: Verdict): string {
  if (verdict.kind === "noticed") return `noticed by ${idOf(verdict.by)}: ${verdict.by.message}`;
  return `${verdict.kind.toUpperCase()}: ${verdict.why}`;
}
