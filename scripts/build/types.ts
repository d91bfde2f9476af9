// dist/types: the declarations of what the entry points of the library give out, by tsc.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const entries = ["index.d.ts", "jobs.d.ts", "http.d.ts", "testing/index.d.ts"];

export async function declare(root: string, folder: string): Promise<void> {
  const making = await mkdtemp(`${folder}-`);
  try {
    // Unchecked: `npm run typecheck` checks, and reports better.
    await promisify(execFile)(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.types.json"), "--noCheck", "--outDir", making]);
    await dropUnreached(making);
    await rm(folder, { recursive: true, force: true });
    await rename(making, folder);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** tsc declares every file that it has read; an app needs those that an entry point leads to. */
async function dropUnreached(folder: string): Promise<void> {
  const reached = new Set<string>();
  const follow = async (path: string): Promise<void> => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const [, to = ""] of (await readFile(path, "utf8")).matchAll(/"(\.\.?\/[^"]+)\.ts"/g)) await follow(`${join(dirname(path), to)}.d.ts`);
  };
  for (const entry of entries) await follow(join(folder, entry));
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name);
    if (file.isFile() && !reached.has(path)) await rm(path);
  }
}
