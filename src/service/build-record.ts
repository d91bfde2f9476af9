// What dist/ was built from, so that a build that no longer is what the sources say is never run. Written by
// scripts/build.ts, asked by scripts/cli.js (the program) and by config-file.ts (the compiled outbox.config.ts).

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A file as it was read: its path from the package's folder, what the file system said of it, and a hash of its bytes. */
export type Input = readonly [path: string, bytes: number, modifiedMs: number, changedMs: number, sha1: string];

/** Of another one it is not known what it says, and the build is not used. */
export const format = 1;

export interface BuildRecord {
  readonly format: typeof format;
  readonly program: readonly Input[];
  /** outbox.config.ts and what it imports of its own; null: it was not compiled. */
  readonly config: readonly Input[] | null;
}

export const recordName = "build.json";

/** Null: there is no build, or it was interrupted. */
export function readRecord(dist: string): BuildRecord | null {
  try {
    const record = JSON.parse(readFileSync(join(dist, recordName), "utf8")) as { readonly format: unknown };
    return record.format === format ? (record as BuildRecord) : null; // our own file, of our own time
  } catch {
    return null; // whatever is wrong with it, the sources are there
  }
}

/**
 * Whether every file is what it was. One that the file system has not touched since is not read. One that was touched
 * (by git checkout, cp, an editor) is compared by its bytes, so that a touch alone costs a few milliseconds, not the build.
 */
export async function isFresh(packageDir: string, inputs: readonly Input[]): Promise<boolean> {
  const touched: Input[] = [];
  for (const input of inputs) {
    const [path, bytes, modifiedMs, changedMs] = input;
    const now = statSync(`${packageDir}/${path}`, { throwIfNoEntry: false });
    if (now?.size !== bytes) return false;
    // The time of change cannot be set by cp -p, tar or touch -r, which give a file an older time of modification.
    if (now.mtimeMs !== modifiedMs || now.ctimeMs !== changedMs) touched.push(input);
  }
  if (touched.length === 0) return true;
  const { createHash } = await import("node:crypto");
  return touched.every(([path, , , , sha1]) => createHash("sha1").update(readFileSync(`${packageDir}/${path}`)).digest("hex") === sha1);
}

/** Whether the built program is what the sources say. */
export async function programIsFresh(packageDir: string): Promise<boolean> {
  const record = readRecord(join(packageDir, "dist"));
  return record !== null && (await isFresh(packageDir, record.program));
}
