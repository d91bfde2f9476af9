// Which files the bundle is made of.

import { join } from "node:path";
import type { Plugin } from "rolldown";

/**
 * What stands inside the bundle, with what these need themselves: every drain loads them, and one file loads faster than
 * their sixty. All other packages are found in node_modules when they are first needed.
 */
export const bundledPackages = ["commander", "pg", "proper-lockfile"];
/** The name of the chunk that a module is put into; null: wherever the bundler likes. */
export type ChunkOf = (path: string) => string | null;

/**
 * What is loaded together is one file, because finding a file costs Node more than reading it: what the command line
 * needs to read a line (`commands`; `others` for one that is not jobs:drain), what the library and every drain need beside (`engine`), and what both need (`base`).
 */
export function findStarts(root: string, found: (chunkOf: ChunkOf) => void): Plugin {
  return {
    name: "find-starts",
    buildEnd() {
      const reached = (...entries: string[]): Set<string> => {
        const all = new Set<string>();
        const follow = (path: string) => {
          if (all.has(path)) return;
          all.add(path);
          for (const next of this.getModuleInfo(path)?.importedIds ?? []) follow(next);
        };
        for (const entry of entries) follow(join(root, entry));
        return all;
      };
      const drain = reached("src/commands/index.ts");
      const line = reached("src/commands/index.ts", "src/commands/others.ts");
      const library = reached("src/index.ts", "src/service/service.ts", "src/service/log.ts", "src/service/log-events.ts");
      found((path) => {
        const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
        if (name !== undefined) return name === "commander" || name === "proper-lockfile" ? name : bundledPackages.includes(name) || /^(pg|postgres|split2|xtend)/.test(name) ? "pg" : null;
        if (line.has(path)) return library.has(path) ? "base" : drain.has(path) ? "commands" : "others";
        return library.has(path) ? "engine" : null;
      });
    },
  };
}
