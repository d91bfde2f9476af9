// docs/reference/guarantees.md against the suite: what it says is proven by a test is a test, and is not left out.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { root } from "../support/cli.ts";

const page = await readFile(join(root, "docs/reference/guarantees.md"), "utf8");

/** `| promise | [file](../../file) | name |`; a row of a table with other columns names no test. */
const rows = [...page.matchAll(/^\| (?<promise>[^|]+?) \| \[(?<file>[^\]]+)\]\((?<link>[^)]+)\) \| (?<name>.+?) \|$/gm)].map(({ groups }) => groups as { promise: string; file: string; link: string; name: string }); // the pattern has these groups

/** The full names of a file's tests, as patterns, because some are made in a loop; those that are always left out are not among them. */
async function testsIn(file: string): Promise<RegExp[]> {
  const source = ts.createSourceFile(file, await readFile(join(root, file), "utf8"), ts.ScriptTarget.Latest);
  const found: RegExp[] = [];
  const visit = (node: ts.Node, names: readonly string[]): void => {
    const title = ts.isCallExpression(node) ? titleOf(node, source) : null;
    if (title === null) return ts.forEachChild(node, (child) => visit(child, names));
    if (title.left) return;
    const full = [...names, title.pattern];
    if (title.kind === "test") found.push(new RegExp(`^${full.join(" > ")}$`));
    else ts.forEachChild(node, (child) => visit(child, full));
  };
  visit(source, []);
  return found;
}

function titleOf(call: ts.CallExpression, source: ts.SourceFile): { kind: "suite" | "test"; pattern: string; left: boolean } | null {
  const [function_ = "", ...how] = call.expression.getText(source).split(/[.(]/);
  const kind = function_ === "describe" ? "suite" : function_ === "it" || function_ === "test" ? "test" : null;
  const [title] = call.arguments;
  if (kind === null || title === undefined) return null;
  const pattern = patternOf(title);
  // The call that `it.skipIf(…)` and `it.each(…)` are has a condition or rows where the name stands.
  if (pattern === null) return null;
  return { kind, pattern, left: how.some((word) => word === "skip" || word === "todo" || word === "fails") };
}

const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

function patternOf(title: ts.Expression): string | null {
  if (ts.isStringLiteralLike(title)) return escaped(title.text).replaceAll(/%[sdijo#]|\\\$\w+/g, ".+");
  if (ts.isConditionalExpression(title)) return `(?:${patternOf(title.whenTrue) ?? ""}|${patternOf(title.whenFalse) ?? ""})`;
  if (ts.isTemplateExpression(title)) return escaped(title.head.text) + title.templateSpans.map(({ literal }) => `.+${escaped(literal.text)}`).join("");
  return null;
}

describe("what docs/reference/guarantees.md promises", () => {
  it("is proven by tests that are there, under the names that it gives, and run", async () => {
    const missing: string[] = [];
    for (const { promise, file, link, name } of rows) {
      const tests = link === `../../${file}` ? await testsIn(file).catch(() => []) : [];
      const plain = name.replaceAll("\\|", "|");
      if (!tests.some((each) => each.test(plain))) missing.push(`"${promise}": there is no test "${plain}" in ${file}`);
    }
    expect(missing).toEqual([]);
  });

  it("is told in rows that all have a test", () => {
    const tables = page.slice(page.indexOf("\n## Scenarios\n"));
    const told = tables.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| promise |"));
    expect(told.filter((line) => !rows.some(({ promise, name }) => line.startsWith(`| ${promise} |`) && line.includes(name)))).toEqual([]);
    expect(rows.length).toBeGreaterThan(80);
  });

  it("names no test that the runner would not find", async () => {
    const all = new Set((await readdir(join(root, "test"), { recursive: true })).map((file) => `test/${file}`));
    expect([...new Set(rows.map(({ file }) => file))].filter((file) => !all.has(file) || !file.endsWith(".test.ts"))).toEqual([]);
  });
});
