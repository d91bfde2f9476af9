// Turns recorded statements into a script for pgbench.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { root } from "../internals.ts";
import type { Statement } from "../operations.ts";

/** Each text is prepared once, as the engine's named statements are, and executed with the recorded values. */
export async function writeScript(name: string, statements: readonly Statement[]): Promise<string> {
  const names = new Map<string, string>();
  const lines: string[] = [];
  for (const { text, values } of statements) {
    if (/^\s*(begin|commit|rollback|set|listen|unlisten)\b/i.test(text)) {
      lines.push(`${text};`);
      continue;
    }
    if (!names.has(text)) lines.push(`prepare s${names.size + 1} as ${withoutComments(text)};`);
    const prepared = names.get(text) ?? `s${names.size + 1}`;
    names.set(text, prepared);
    lines.push(`execute ${prepared}${values.length === 0 ? "" : `(${values.map(literal).join(", ")})`};`);
  }
  const path = join(root, "bench/var", `pgbench-${name}.sql`);
  await mkdir(join(root, "bench/var"), { recursive: true });
  await writeFile(path, `${lines.join("\n")}\n`);
  return path;
}

const literal = (value: string | null): string => (value === null ? "null" : pg.escapeLiteral(value));
const withoutComments = (text: string): string => text.replaceAll(/--[^\n]*/g, " ").replaceAll(/\s+/g, " ").trim();
