// bench/latest.json: the figures that the document is made of, committed. A partial run replaces its rows and keeps the others.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../internals.ts";
import { rows } from "../rows/index.ts";
import type { Report } from "./report.ts";

const path = join(root, "bench/latest.json");

export async function readLatest(): Promise<Report> {
  return JSON.parse(await readFile(path, "utf8")) as Report; // written by writeLatest
}

export async function writeLatest(report: Report): Promise<void> {
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

export async function mergedWithLatest(report: Report): Promise<Report> {
  const before = await readLatest().catch(() => null); // the first time there is none
  const fresh = new Map(report.rows.map((row) => [row.id, row]));
  const kept = new Map((before?.rows ?? []).map((row) => [row.id, row]));
  return { ...report, rows: rows.flatMap(({ id }) => fresh.get(id) ?? kept.get(id) ?? []) };
}
