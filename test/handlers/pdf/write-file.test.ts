// A document is on the disk whole or not at all, under its own name and nowhere else.

import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeDocument } from "../../../src/handlers/pdf/write-file.ts";
import { FinalError } from "../../../src/outbox/errors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pdf-files-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const write = (bytes: string | Buffer, options: { attempt?: number; jobId?: string; signal?: AbortSignal } = {}): Promise<string> =>
  writeDocument({ folder, filename: "a.pdf", bytes: Buffer.from(bytes), jobId: "job-1", attempt: 1, signal: new AbortController().signal, ...options });

test("a link in place of the file is not followed: its target is untouched and the job fails for good", async () => {
  const target = join(folder, "passwd");
  await writeFile(target, "precious");
  await symlink(target, join(folder, "a.pdf"));
  const refusal: unknown = await write("new").catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(FinalError);
  expect(String(refusal)).toMatch(/a\.pdf.* is a symbolic link\. Nothing was written/);
  expect(await readFile(target, "utf8")).toBe("precious");
  expect(await readlink(join(folder, "a.pdf"))).toBe(target);
  expect((await readdir(folder)).sort()).toEqual(["a.pdf", "passwd"]);
});

test("a link that leads nowhere is not followed either", async () => {
  await symlink(join(folder, "not-there"), join(folder, "a.pdf"));
  await expect(write("new")).rejects.toThrow("symbolic link");
  expect(await readdir(folder)).toEqual(["a.pdf"]);
});

test("a folder in place of the file is left alone", async () => {
  await mkdir(join(folder, "a.pdf"));
  await expect(write("new")).rejects.toThrow(/is a folder/);
  expect(await readdir(folder)).toEqual(["a.pdf"]);
});

test("a failure in the middle of writing leaves the old file, and no temporary one", async () => {
  await write("old");
  const abort = new AbortController();
  const writing = write(Buffer.alloc(96 * 1024 * 1024), { signal: abort.signal });
  const ended = writing.then(() => "written", () => "failed");
  let begun = false;
  for (const endsAtMs = Date.now() + 10_000; !begun && Date.now() < endsAtMs; ) {
    await setImmediate();
    begun = (await readdir(folder)).some((name) => name.endsWith(".tmp"));
  }
  abort.abort();
  expect([begun, await ended]).toEqual([true, "failed"]);
  expect(await readdir(folder)).toEqual(["a.pdf"]);
  expect(await readFile(join(folder, "a.pdf"), "utf8")).toBe("old");
});

test("a retry removes what a killed attempt of the same job left, and nothing of other jobs", async () => {
  await writeFile(join(folder, ".job-1.0123456789ab.tmp"), "half");
  await writeFile(join(folder, ".job-12.0123456789ab.tmp"), "another job's");
  await write("new", { attempt: 2 });
  expect((await readdir(folder)).sort()).toEqual([".job-12.0123456789ab.tmp", "a.pdf"]);
});

test("of two jobs with one file name the later wins", async () => {
  await write("first", { jobId: "job-1" });
  await write("second", { jobId: "job-2" });
  expect(await readFile(join(folder, "a.pdf"), "utf8")).toBe("second");
  expect(await readdir(folder)).toEqual(["a.pdf"]);
});

test("ten jobs that write one name at once leave one whole file", async () => {
  const texts = Array.from({ length: 10 }, (_, index) => String(index).repeat(100_000));
  await Promise.all(texts.map((text, index) => write(text, { jobId: `job-${index}` })));
  expect(await readdir(folder)).toEqual(["a.pdf"]);
  expect(texts).toContain(await readFile(join(folder, "a.pdf"), "utf8"));
});
