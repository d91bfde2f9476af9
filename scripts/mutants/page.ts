// docs/reference/mutants.md, made of the mutants and of what the latest runs have found.

import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import type { Failure } from "./suite.ts";

export const pagePath = "docs/reference/mutants.md";
const noticedPath = join(import.meta.dirname, "noticed.json");

/** By the mutant's name, what noticed it and on which day; `of` says which text it was that had been taken out. */
export type Noticed = Readonly<Record<string, Failure & { readonly on: string; readonly of: string }>>;

export async function readNoticed(): Promise<Noticed> {
  return JSON.parse(await readFile(noticedPath, "utf8")) as Noticed; // written below
}

export async function writeNoticed(mutant: Mutant, { file, test, message }: Failure): Promise<void> {
  const entry = { on: new Date().toISOString().slice(0, 10), of: textOf(mutant), file, test, message: message.slice(0, 160) };
  const noticed = Object.entries({ ...(await readNoticed()), [mutant.name]: entry }).sort(([one], [other]) => (one < other ? -1 : 1));
  await writeFile(noticedPath, `${JSON.stringify(Object.fromEntries(noticed), null, 2)}\n`);
}

/** Another text is another mutant, which has to be noticed anew. */
function textOf({ file, out, in: put }: Mutant): string {
  return createHash("sha256").update(JSON.stringify([file, out, put])).digest("hex").slice(0, 12);
}

/** What noticed this mutant; null when nothing has, or when it was another text then. */
export function noticing(mutant: Mutant, noticed: Noticed): Noticed[string] | null {
  const entry = noticed[mutant.name];
  return entry?.of === textOf(mutant) ? entry : null;
}

export function page(mutants: readonly Mutant[], noticed: Noticed): string {
  const rows = mutants.map((mutant) => {
    const found = noticing(mutant, noticed);
    const by = found === null ? "nothing yet" : `${shown(found.test)} (\`${found.file}\`)`;
    return `| \`${mutant.name}\` | ${shown(mutant.guard)} | \`${mutant.file}\` | ${by} |`;
  });
  const days = mutants.flatMap((mutant) => noticing(mutant, noticed)?.on ?? []).sort();
  return `${introduction}
**${days.length} of ${mutants.length} noticed**, by \`npm run mutants\`${days.length === 0 ? "" : `, ${days[0] === days.at(-1) ? `on ${days[0] ?? ""}` : `between ${days[0] ?? ""} and ${days.at(-1) ?? ""}`}, each by the latest run that it was part of`}.

| mutant | what the guard protects from | taken out of | noticed by |
|---|---|---|---|
${rows.join("\n")}
${remarks}`;
}

const shown = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");

const introduction = `# The tests are tested

A test that cannot fail promises nothing. \`npm run mutants\` takes the guards of postcommit out of a copy of the working
tree, one at a time, and runs the tests that are expected to notice; each must turn red by what it asserts. One that is red
because a file does not load, or because of a mistake in the SQL, proves nothing, and is not counted. Neither is a test that
is red already in the copy as it is, which is run first.

    npm run mutants                              # all of them: about half an hour on two cores
    npm run mutants -- --only fence,payload      # those whose names begin so
    npm run mutants -- --list                    # which there are
    npm run mutants -- --whole --only doorbell   # the whole suite against each, not only the expected tests

The exit code is 0 when all were noticed and nothing was red before. It uses the server of \`TEST_DATABASE_URL\`, or an embedded one. The mutants stand
in \`scripts/mutants/guards/\`: the text of the guard, and what stands there instead. When the code has moved on so that the
text is not there exactly once, the mutant has rotted: \`npm test\` says so. This page is written by the script.
`;

const remarks = `
## What is not among them

- **The word \`materialized\`** of the claim changes nothing by itself when it is taken out: Postgres never inlines a query that
  locks rows. What the word stands for is that the rows that were picked and locked are the rows that are updated; that
  is what \`materialized-claim\` and \`claim-limit\` take out.
- **The constant time** of the token comparison cannot be seen by a test that is worth running. That a token is compared as a
  whole can.
- **That a claim locks nothing before its settlement is over** is kept by a condition and by the order of the last join as
  well; a test of its own (test/outbox/races.test.ts, "the other way round") turns that order and sees the deadlock.
- **Guards that stand twice**, such as nodemailer's own switches behind our list of fields, or the length that a body is
  declared to have before its bytes are counted: with one of the two taken out nothing gets through, which is why there
  are two. Where a test can ask for each by itself, it does.

## Would StrykerJS do this?

No. It mutates operators and literals of TypeScript. Most of the guards above are lines of SQL or of a migration, which it
would see as one text that it can only empty: a mistake in the SQL, red for the wrong reason. It would be of use for the few
files of plain arithmetic (backoff, the slots of schedules, the grammar of filters), but those are searched by properties and by
comparison with Postgres and Prisma already, and its answer is a percentage full of mutants that change nothing anybody was
promised. What is above is a list of promises.
`;
