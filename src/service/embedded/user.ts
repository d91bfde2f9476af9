// As whom the embedded Postgres runs: it refuses to run as root, so root gives it to another user of the system.
// Next: place.ts (where its files are), binaries.ts (where its programs are).

import { lstat, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export const isRoot = (): boolean => process.getuid?.() === 0;

/** The user to run as; null when that is the user of this process. A cluster that exists already decides by its owner. */
export async function serverUser(data: string): Promise<SystemUser | null> {
  if (!isRoot()) return null;
  const owner = await stat(data).catch(() => null); // Not there yet, so it decides nothing.
  if (owner !== null && owner.uid !== 0) return { name: `user ${owner.uid}`, uid: owner.uid, gid: owner.gid };
  const lines = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody"]) {
    const [name, , uid, gid] = lines.find((line) => line[0] === wanted) ?? [];
    if (name !== undefined && uid !== undefined && gid !== undefined) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new OutboxError(
    "CONFIGURATION",
    "Postgres does not run as root, and /etc/passwd has neither a user postgres nor nobody to run it as. Run as another user, or set DATABASE_URL.",
  );
}

export const mayEnter = 0o1;
export const mayReadAndRun = 0o5;

/**
 * Whether `user` may pass every folder above `path`, and has the wanted rights on what is there. Judged by the mode
 * bits: what is not there yet does not count.
 */
export async function canReach(path: string, user: SystemUser, wanted: number): Promise<boolean> {
  if (!(await allows(path, user, wanted))) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!(await allows(folder, user, mayEnter))) return false;
    if (folder === dirname(folder)) return true;
  }
}

async function allows(path: string, user: SystemUser, bits: number): Promise<boolean> {
  const found = await stat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (found === null) return true;
  const shift = found.uid === user.uid ? 6 : found.gid === user.gid ? 3 : 0;
  return ((found.mode >> shift) & bits) === bits;
}

/** A folder below /var/tmp, where others could have put one first: refused unless it is ours and only we write to it. */
export async function refuseForeign(folder: string): Promise<void> {
  // Not stat: others could have put a link to a folder of ours there.
  const found = await lstat(folder);
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return;
  throw new OutboxError(
    "CONFIGURATION",
    `Expected ${folder} to be a folder, to belong to the user of this process and to be writable by nobody else. Look at who made it, delete it, and try again.`,
  );
}

/** /var/tmp and not /tmp: what is there survives a reboot. */
export const sharedFolder = (name: string): string => join("/var/tmp", `postcommit-${name}`);
