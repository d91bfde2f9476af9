// The documents folder while somebody plays tricks in it: names are exchanged for links at the very moment they are used.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readDocuments } from "../../src/handlers/email/documents.ts";
import { writeDocument } from "../../src/handlers/pdf/write-file.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();
const secret = "what is outside";
const document = "what is inside";

let folder: string;
let outside: string;
beforeEach(async () => {
  const base = await mkdtemp(join(tmpdir(), "documents-"));
  folder = join(base, "documents");
  outside = join(base, "outside.pdf");
  await mkdir(folder);
  await writeFile(outside, secret);
});
afterEach(() => rm(join(folder, ".."), { recursive: true }));

/** Exchanges the document for a link to the outside and back, and takes `step` meanwhile, until both were done often enough. */
async function whileExchanged(step: () => Promise<void>, enough: () => boolean = () => true): Promise<void> {
  const path = join(folder, "a.pdf");
  let exchanges = 0;
  let over = false;
  const exchange = async (): Promise<void> => {
    while (!over) {
      await symlink(outside, join(folder, "link"));
      await rename(join(folder, "link"), path);
      await writeFile(join(folder, "plain"), document);
      await rename(join(folder, "plain"), path);
      exchanges += 1;
    }
  };
  await writeFile(path, document);
  const exchanging = exchange();
  try {
    await until("often enough", async () => {
      for (let n = 0; n < 20; n += 1) await step();
      return exchanges >= 50 && enough();
    }, 25_000);
  } finally {
    over = true;
    await exchanging;
  }
}

describe("a name that is a document at one moment and a link to the outside at the next", () => {
  it("is read as the document, or refused as a link", async () => {
    const seen = { document: 0, refused: 0 };
    await whileExchanged(
      async () => {
        const content = await readDocuments(folder, ["a.pdf"], signal).then((read) => String(read.get("a.pdf")), (error: unknown) => String(error));
        if (content !== document) expect(content).toContain("symbolic link");
        seen[content === document ? "document" : "refused"] += 1;
      },
      () => Math.min(seen.document, seen.refused) > 0,
    );
  });

  it("is written as a document of its own: what it led to stays as it was", async () => {
    await whileExchanged(async () => {
      await writeDocument({ folder, filename: "a.pdf", bytes: Buffer.from("new"), jobId: "job", attempt: 1, signal }).catch((error: unknown) => expect(String(error)).toContain("symbolic link"));
      expect(await readFile(outside, "utf8")).toBe(secret);
    });
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

it("a temporary name that somebody has guessed and made a link of is not written through", async () => {
  await Promise.all(Array.from({ length: 20 }, (_, n) => symlink(outside, join(folder, `.job.${n}.tmp`))));
  await writeDocument({ folder, filename: "b.pdf", bytes: Buffer.from("new"), jobId: "job", attempt: 2, signal });
  expect(await readFile(outside, "utf8")).toBe(secret);
  expect(await readdir(folder)).toEqual(["b.pdf"]);
});
