// Reads the documents that a mail attaches, from our own folder only. A name that leads anywhere else is refused for good.

import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { FinalError } from "../../outbox/errors.ts";
import { fileNameProblem } from "./file-name.ts";

/** Of all documents of one mail together: most servers take no larger mail, and all of it is held in memory. */
export const maxDocumentBytes = 20 * 1024 * 1024;

/** The bytes of each document in `names`. Throws FinalError for one that is no plain file or is too much; one that is missing may still come. */
export async function readDocuments(folder: string, names: readonly string[], signal: AbortSignal): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  let bytesLeft = maxDocumentBytes;
  for (const name of names) {
    const content = contents.get(name) ?? (await readDocument(folder, name, bytesLeft, signal));
    // Counted again when it is attached again: the mail grows by it each time.
    bytesLeft -= content.length;
    if (bytesLeft < 0) throw tooLarge(name);
    contents.set(name, content);
  }
  return contents;
}

async function readDocument(folder: string, name: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const problem = fileNameProblem(name);
  if (problem !== null) throw new FinalError(`The document cannot be attached: ${problem}.`);
  const file = await openPlainFile(join(folder, name), name);
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new FinalError(`The document "${name}" cannot be attached: it is not a plain file.`);
    if (status.size > maxBytes) throw tooLarge(name);
    return await file.readFile({ signal });
  } finally {
    await file.close();
  }
}

async function openPlainFile(path: string, name: string): Promise<FileHandle> {
  try {
    // The check is in the open itself, so that nobody can put a link there in between. O_NONBLOCK: a pipe by that name
    // would otherwise hold the open until somebody writes to it.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    // Not final: the job that makes it may have been enqueued in the same transaction, and still be running.
    if (code === "ENOENT") throw new Error(`The document "${name}" cannot be attached: there is no such file in the documents folder yet.`);
    if (code === "ENAMETOOLONG") throw new FinalError(`The document "${name}" cannot be attached: no file can have a name of ${Buffer.byteLength(name)} bytes.`);
    if (code === "ENXIO") throw new FinalError(`The document "${name}" cannot be attached: it is not a plain file.`); // a socket
    if (code === "ELOOP") throw new FinalError(`The document "${name}" cannot be attached: it is a symbolic link.`);
    throw error;
  }
}

function tooLarge(name: string): FinalError {
  return new FinalError(
    `The document "${name}" cannot be attached: expected the documents of one mail to have at most ${maxDocumentBytes} bytes together. ` +
      "Send a link to it instead.",
  );
}
