// Where this program stands: in its sources, or built into dist/ by scripts/build.ts; and which folder it works for.

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Put in by scripts/build.ts; there is no such name in the sources. */
declare const builtVersion: string | undefined;

/** Null: these are the sources, run through tsx or a test runner. */
export const built: { readonly version: string; readonly dist: string } | null =
  typeof builtVersion === "string" ? { version: builtVersion, dist: basename(import.meta.dirname) === "chunks" ? dirname(import.meta.dirname) : import.meta.dirname } : null;

/** The folder of this package: where its package.json and its prisma/ are. */
export const packageDir = built === null ? join(import.meta.dirname, "../..") : dirname(built.dist);

/** The migrations of the app in the folder `root`, which are Prisma's own. */
export const migrationsDir = (root: string): string => join(root, "prisma", "migrations");

/**
 * The folder of the app, where outbox.config.ts, .env and prisma/ are looked for. The sources are a clone's own, so that
 * a crontab may call them from anywhere. What is installed in an app asks for the nearest package.json, as npm does.
 */
export function appDir(): string {
  if (built === null) return packageDir;
  const start = process.cwd();
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) return start;
  }
}
