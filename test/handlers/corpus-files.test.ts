// Whatever a file is called, and whatever lies in its place: documents are read and written in the documents folder itself
// and nowhere else. Each name's sentence is in pdf/filename.test.ts and email/refusals.test.ts.

import { execFileSync } from "node:child_process";
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileNameProblem } from "../../src/handlers/email/file-name.ts";
import { readDocuments } from "../../src/handlers/email/documents.ts";
import { filename } from "../../src/handlers/pdf/filename.ts";
import { writeDocument } from "../../src/handlers/pdf/write-file.ts";
import { FinalError } from "../../src/outbox/errors.ts";
import { propertySeed } from "../support/property-seed.ts";
import { thrownBy } from "./local-server.ts";

let outside: string;
let folder: string;
beforeEach(async () => {
  outside = await mkdtemp(join(tmpdir(), "corpus-files-"));
  folder = join(outside, "documents");
  await mkdir(folder);
  await writeFile(join(outside, "secret.pdf"), "precious");
});
afterEach(() => rm(outside, { recursive: true }));

const never = new AbortController().signal;
const write = (name: string) => writeDocument({ folder, filename: name, bytes: Buffer.from("new"), jobId: "job-1", attempt: 1, signal: never });
const read = (name: string) => readDocuments(folder, [name], never);

/** The folder around the documents is as it was. */
async function expectOutsideUntouched(): Promise<void> {
  expect((await readdir(outside)).sort()).toEqual(["documents", "secret.pdf"]);
  expect(await readFile(join(outside, "secret.pdf"), "utf8")).toBe("precious");
}

const wayOut = [
  "../secret.pdf", "..\\secret.pdf", "./../secret.pdf", "a/../../secret.pdf", "../documents/../secret.pdf", "..", ".", "", "/etc/passwd", "//etc/passwd", "\\\\server\\share\\a.pdf", "C:\\a.pdf", "a/b.pdf", "a\\b.pdf", "../", "../secret.pdf\u0000.pdf", "\u0000", "secret.pdf\u0000",
];

describe("names that lead out of the folder", () => {
  test.each(wayOut)("%j is refused by the contract, and past it neither writes nor reads anything outside", async (name) => {
    // A backslash is an ordinary letter on this system.
    const path = await write(name).catch(() => join(folder, "refused"));
    expect(dirname(path)).toBe(folder);
    await expect(read(name)).rejects.toThrow();
    await expectOutsideUntouched();
    expect(filename.safeParse(name).success).toBe(false);
  });

  test("nor does any name whatever", async () => {
    const piece = fc.oneof(fc.string({ unit: "binary", maxLength: 10 }), fc.constantFrom("..", "/", "\\", "\u0000", "%2e", "%2f", "%5c", "%c0%af", "．", "／", "secret", ".pdf", "~", "C:", " ", "\n"));
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
        const name = pieces.join("");
        const accepted = filename.safeParse(name).success;
        const path = await write(name).catch(() => null);
        await expectOutsideUntouched();
        // What the contract accepts is a file of just that name in the folder, and what was not written left nothing.
        if (accepted) expect(path).toBe(join(folder, name));
        expect(await readdir(folder)).toHaveLength(path === null ? 0 : 1);
        if (path !== null) await rm(path);
      }),
      { numRuns: 300, seed: propertySeed },
    );
  });
});

describe("what lies in a document's place", () => {
  test("a hard link to a file elsewhere is replaced, and that file keeps its contents", async () => {
    await link(join(outside, "secret.pdf"), join(folder, "a.pdf"));
    await write("a.pdf");
    expect(await readFile(join(folder, "a.pdf"), "utf8")).toBe("new");
    await expectOutsideUntouched();
  });

  test("a link, a folder and a pipe are neither written to nor read, for good", async () => {
    await symlink(join(outside, "secret.pdf"), join(folder, "link.pdf"));
    await symlink("/etc", join(folder, "etc.pdf"));
    await symlink("link.pdf", join(folder, "chain.pdf"));
    await symlink("loop.pdf", join(folder, "loop.pdf"));
    await mkdir(join(folder, "folder.pdf"));
    execFileSync("mkfifo", [join(folder, "pipe.pdf")]);
    for (const name of ["link.pdf", "etc.pdf", "chain.pdf", "loop.pdf", "folder.pdf", "pipe.pdf"]) {
      expect([name, await thrownBy(write(name))]).toEqual([name, expect.any(FinalError)]);
      expect([name, await thrownBy(read(name))]).toEqual([name, expect.any(FinalError)]);
    }
    await expectOutsideUntouched();
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("a socket is not read", async () => {
    const server = createServer().listen(join(folder, "socket.pdf"));
    await new Promise((resolve) => server.once("listening", resolve));
    expect(await thrownBy(read("socket.pdf"))).toBeInstanceOf(FinalError);
    expect(await thrownBy(write("socket.pdf"))).toBeInstanceOf(FinalError);
    await new Promise((resolve) => server.close(resolve));
  });

  test("a name that is too long for the file system is refused for good, not tried again", async () => {
    expect(await thrownBy(read("漢".repeat(190)))).toBeInstanceOf(FinalError);
    expect(filename.safeParse(`${"漢".repeat(110)}.pdf`).success).toBe(false);
  });

  test("a half-written document of another job is not read", async () => {
    await writeFile(join(folder, ".job-1.0123456789ab.tmp"), "half");
    expect(await thrownBy(read(".job-1.0123456789ab.tmp"))).toBeInstanceOf(FinalError);
  });
});

test.each(["invoice\u202efdp.exe", "a\u200b.pdf", "\ufeffa.pdf", "a\u2066b.pdf", "a\u{e0041}.pdf", "a\u00ad.pdf"])("the attachment's name %j, which reads as another, is refused", (name) => {
  expect(fileNameProblem(name)).toContain("invisible");
});

test("what is written can be read, byte for byte, and nothing else is in the folder", async () => {
  await write("a b Łódź 漢.pdf");
  const contents = await read("a b Łódź 漢.pdf");
  expect(contents.get("a b Łódź 漢.pdf")?.toString()).toBe("new");
  expect((await stat(join(folder, "a b Łódź 漢.pdf"))).isFile()).toBe(true);
  expect(await readdir(folder)).toEqual(["a b Łódź 漢.pdf"]);
});
