// Puts a build into place while others may be running the one before.

import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BuildRecord } from "../../src/service/build-record.ts";
import { recordName } from "../../src/service/build-record.ts";

/** How long a worker may go on that was started from a build before this one: it loads a handler with its first job. */
const keptMs = 7 * 24 * 60 * 60 * 1000;

/**
 * Chunks have a hash of their contents in their names and are written first, the record last: whoever starts in between
 * runs the sources. Chunks of builds before stay for a while.
 */
export async function replaceBuild(dist: string, files: ReadonlyMap<string, string>, record: BuildRecord, { clean }: { readonly clean: boolean }): Promise<void> {
  if (clean) await rm(dist, { recursive: true, force: true });
  await rm(join(dist, recordName), { force: true });
  await rm(join(dist, "cache"), { recursive: true, force: true }); // what Node has compiled of the build before: cli.ts
  const inOrder = [...files].sort(([a], [b]) => Number(b.startsWith("chunks/")) - Number(a.startsWith("chunks/")));
  for (const [name, text] of inOrder) await replaceFile(join(dist, name), text);
  await chmod(join(dist, "cli.js"), 0o755);
  await dropOld(join(dist, "chunks"));
  await replaceFile(join(dist, recordName), JSON.stringify(record));
}

/** Under another name first, so that nobody reads half of it. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const making = `${path}.${process.pid}.tmp`;
  await writeFile(making, text);
  await rename(making, path);
}

/** Its age counts from the last build that it was part of, which has written it. */
async function dropOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (Date.now() - (await stat(path)).mtimeMs > keptMs) await rm(path, { force: true });
  }
}
