// What the build was made of, for those who ask whether it is still fresh (src/service/build-record.ts).

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import type { BuildRecord, Input } from "../../src/service/build-record.ts";
import { format } from "../../src/service/build-record.ts";

/** `read` are the files that were bundled with the hashes of what was read; `others` decide how. */
export async function makeRecord(root: string, read: ReadonlyMap<string, string>, others: readonly string[]): Promise<BuildRecord> {
  const isApps = (path: string) => !/\/node_modules\//.test(path) && !["src", "generated", "cli.ts"].some((ours) => path === join(root, ours) || path.startsWith(join(root, ours, "/")));
  const bundled = [...read.keys()].sort();
  const config = bundled.filter(isApps);
  const own = bundled.filter((path) => !isApps(path));
  const inputOf = async (path: string): Promise<Input> => {
    // In this order: what changes in between has another time of change than the one that is written down.
    const { size, mtimeMs, ctimeMs } = await stat(path);
    const sha1 = createHash("sha1").update(await readFile(path)).digest("hex");
    if ((read.get(path) ?? sha1) !== sha1) throw new Error(`${relative(root, path)} was changed while it was built. Build again.`);
    return [relative(root, path), size, mtimeMs, ctimeMs, sha1];
  };
  const usesItsPlace = (await Promise.all(config.map((path) => readFile(path, "utf8")))).some((text) => /import\.meta|__dirname|__filename/.test(text));
  return {
    format,
    program: await Promise.all([...others, ...own].map(inputOf)),
    // A copy elsewhere would not find what it looks for beside itself, so the original is loaded.
    config: config.length === 0 || usesItsPlace ? null : await Promise.all(config.map(inputOf)),
  };
}
