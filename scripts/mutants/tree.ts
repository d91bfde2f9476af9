// A copy of the working tree in a temporary folder, for guards to be taken out of. Its node_modules are ours.

import { cp, mkdtemp, readFile, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Mutant } from "./mutant.ts";
import { without } from "./mutant.ts";

/** Made by programs, or none of the tests' business. */
const leftOut = new Set([".git", "node_modules", "dist", "var", "coverage", "bench"]);

export interface Tree {
  readonly folder: string;
  /**
   * Runs `work` while the guard is out, and puts it back. The program is built anew only if it is asked for: a test that runs
   * the one of the control does not notice the mutant, so nothing is taken for noticed by it.
   */
  mutated<Value>(mutant: Mutant, build: boolean, work: () => Promise<Value>): Promise<Value>;
  remove(): Promise<void>;
}

export async function copyOf(root: string): Promise<Tree> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mutants-"));
  await cp(root, folder, { recursive: true, filter: (path) => !leftOut.has(basename(path)) });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  return {
    folder,
    async mutated(mutant, build, work) {
      const path = join(folder, mutant.file);
      const [dist, kept] = [join(folder, "dist"), join(folder, "dist-of-the-control")];
      const source = await readFile(path, "utf8");
      await cp(dist, kept, { recursive: true });
      await writeFile(path, without(mutant, source));
      if (!build) await writeFile(join(dist, "fresh.js"), "export const programIsFresh = () => Promise.resolve(true);\n");
      try {
        return await work();
      } finally {
        await writeFile(path, source);
        await rm(dist, { recursive: true, force: true });
        await rename(kept, dist);
      }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
