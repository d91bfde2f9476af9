// Puts a finished document into its folder: all of it under its name, or nothing. Written to a temporary file beside
// it, flushed to the disk and renamed, so that nobody ever reads half a document.

import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { FinalError } from "../../outbox/errors.ts";

export interface DocumentFile {
  readonly folder: string;
  readonly filename: string;
  readonly bytes: Buffer;
  readonly jobId: string;
  /** From 2 on, what a killed attempt of the same job may have left is removed first. */
  readonly attempt: number;
  readonly signal: AbortSignal;
}

/**
 * Gives back the absolute path. A file of that name is replaced: it is this job's own from an attempt before, or the
 * document is being issued again, and then the later one is the one that people expect to find. Who wants to keep
 * both gives them different names. Links and folders are never replaced and never followed.
 */
export async function writeDocument(file: DocumentFile): Promise<string> {
  const folder = resolve(file.folder);
  const path = join(folder, file.filename);
  // The contract has refused such names already. This is the last door before the disk, so it looks for itself.
  if (dirname(path) !== folder || file.filename.includes("\0")) throw new FinalError(`Expected a file name inside the documents folder, got ${JSON.stringify(file.filename)}.`);
  await mkdir(folder, { recursive: true });
  await refuseOtherThanFile(path);

  const temporaryPrefix = `.${file.jobId}.`;
  if (file.attempt > 1) await removeLeftovers(folder, temporaryPrefix);
  const temporary = join(folder, `${temporaryPrefix}${randomBytes(6).toString("hex")}.tmp`);
  try {
    await writeFlushed(temporary, file.bytes, file.signal);
    file.signal.throwIfAborted();
    await rename(temporary, path); // replaces a link that has appeared since, rather than following it
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await flushFolder(folder);
  return path;
}

async function refuseOtherThanFile(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (found === null || found.isFile()) return;
  const kind = found.isSymbolicLink() ? "a symbolic link" : found.isDirectory() ? "a folder" : "something other than a file";
  throw new FinalError(`Expected ${JSON.stringify(path)} to be a file or not to exist, but it is ${kind}. Nothing was written; remove it or use another filename.`);
}

async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix) && name.endsWith(".tmp")) await rm(join(folder, name), { force: true });
  }
}

/** "wx" fails when the name exists in any form, a link included. */
async function writeFlushed(path: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
  const handle = await open(path, "wx");
  try {
    await handle.writeFile(bytes, { signal });
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Without this a power cut can undo the rename after the job was stored as done. Windows cannot open a folder. */
async function flushFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
