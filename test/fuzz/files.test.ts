// File names of documents and attachments: what is accepted is one name in the folder, by the rules of Linux and of Windows,
// and what is written or read by it is that file. Attacks by name: test/handlers/corpus-files.test.ts.

import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix, resolve, win32 } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readDocuments } from "../../src/handlers/email/documents.ts";
import { fileName } from "../../src/handlers/email/file-name.ts";
import { filename } from "../../src/handlers/pdf/filename.ts";
import { writeDocument } from "../../src/handlers/pdf/write-file.ts";
import { fuzz, fuzzTimeoutMs, oddValue, outcomeOf, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fuzz-files-"));
  folder = join(root, "documents");
  await mkdir(folder);
  await writeFile(join(root, "secret.pdf"), "secret");
});
afterAll(() => rm(root, { recursive: true }));

const pieces = ["a", "invoice", ".pdf", ".PDF", "..", ".", "/", "\\", "\u0000", "\n", " ", ":", "C:", "con", "NUL", "COM1", "%2e%2e", "%2f", "．．", "／", "\u202e", "\u2028", "*", "?", "~", "secret", "documents", "é", "e\u0301", "x".repeat(120), "ſ", "\ud800", "::$DATA"];
const name = fc.oneof({ weight: 3, arbitrary: soupOf(pieces, 6) }, { weight: 1, arbitrary: soupOf(pieces, 4).map((start) => `${start}.pdf`) });

/** The folder and one name in it, whichever system reads the path. */
function isInside(given: string): boolean {
  return posix.dirname(posix.resolve("/documents", given)) === "/documents" && win32.dirname(win32.resolve("C:\\documents", given)) === "C:\\documents" && posix.basename(given) === given && win32.basename(given) === given;
}

/** An attachment's name also goes to people: no folder is in it on any system, but one of its letters may be a colon. */
const isName = (given: string): boolean => posix.resolve("/documents", given) === `/documents/${given}` && !/[/\\]/.test(given);

it("a name that a contract accepts is one file of the folder, that of a PDF on Linux as on Windows", { timeout }, async () => {
  await fuzz(fc.oneof(name, oddValue), 100, (given) => {
    for (const [schema, inside] of [[filename, isInside], [fileName, isName]] as const) {
      const { success, error } = schema.safeParse(given);
      if (success) expect([given, inside(String(given)), /[\p{Cc}\u202e]/u.test(String(given))]).toEqual([given, true, false]);
      else expect(error.issues[0]?.message).toBeTruthy();
    }
  });
});

const writing = (given: string) => writeDocument({ folder, filename: given, bytes: Buffer.from("new"), jobId: "job", attempt: 2, signal: new AbortController().signal });

it("a document is written to its own name in the folder or not at all, whatever name gets that far and whatever lies there", { timeout }, async () => {
  await fuzz(fc.tuple(name, fc.constantFrom("nothing", "a link", "a dangling link", "a folder", "a file")), 20, async ([given, there]) => {
    const path = join(folder, given);
    const isOne = resolve(folder, given) === path && isInside(given) && !given.includes("\0") && given !== "" && Buffer.byteLength(given) <= 255;
    if (isOne && there !== "nothing") {
      if (there === "a folder") await mkdir(path);
      else if (there === "a file") await writeFile(path, "old");
      else await symlink(there === "a link" ? join(root, "secret.pdf") : join(root, "nothing"), path);
    }
    const written = await writing(given).then((at) => at, (error: unknown) => (error instanceof TypeError ? Promise.reject(error) : null));
    expect(await readFile(join(root, "secret.pdf"), "utf8")).toBe("secret");
    expect((await readdir(root)).sort()).toEqual(["documents", "secret.pdf"]);
    if (written !== null) expect([resolve(written), (await lstat(written)).isFile(), await readFile(written, "utf8")]).toEqual([join(folder, given), true, "new"]);
    if (isOne && ["a link", "a dangling link", "a folder"].includes(there)) expect(written).toBeNull();
    for (const left of await readdir(folder)) await rm(join(folder, left), { recursive: true });
  });
});

it("an attachment is read from the folder or refused, and a link leads nowhere", { timeout }, async () => {
  await writeFile(join(folder, "a.pdf"), "a");
  await symlink(join(root, "secret.pdf"), join(folder, "link.pdf"));
  await fuzz(fc.oneof(name.filter((given) => !given.includes("\0")), fc.constantFrom("a.pdf", "link.pdf", "../secret.pdf", "./a.pdf", ".", "")), 20, async (given) => {
    const { value } = await outcomeOf(() => readDocuments(folder, [given], new AbortController().signal), (error) => error instanceof Error && error.message.startsWith("The document"));
    expect([given, value?.get(given)?.toString()]).toEqual([given, given === "a.pdf" ? "a" : undefined]);
  });
});
