// That the mutants (docs/reference/mutants.md) can still be made of the sources. Whether the suite notices them is
// asked by `npm run mutants`, which takes half an hour.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mutants } from "../scripts/mutants/guards.ts";
import { without } from "../scripts/mutants/mutant.ts";
import { noticing, page, pagePath, readNoticed } from "../scripts/mutants/page.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFile(join(root, path), "utf8");

describe("the mutants", () => {
  it("have names of their own", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  it("have not rotted: the text of each guard is in its file exactly once, and something else takes its place", async () => {
    for (const mutant of mutants) {
      const source = await read(mutant.file);
      expect(without(mutant, source), mutant.name).not.toBe(source);
    }
  });

  it("have tests that are expected to notice them, in files that are there", async () => {
    for (const { name, noticedBy } of mutants) {
      expect(Object.keys(noticedBy), name).not.toEqual([]);
      for (const [file, part] of Object.entries(noticedBy)) {
        expect(part, name).not.toBe("");
        expect(await read(file), `${name} in ${file}`).toContain(part);
      }
    }
  });

  it("have each been noticed, as they are now", async () => {
    const noticed = await readNoticed();
    expect(mutants.filter((mutant) => noticing(mutant, noticed) === null).map(({ name }) => name), "npm run mutants -- --only …").toEqual([]);
    expect(Object.keys(noticed).filter((name) => !mutants.some((mutant) => mutant.name === name)), "to be taken out of scripts/mutants/noticed.json").toEqual([]);
  });

  it("are all listed in docs/reference/mutants.md, with what they protect from and what noticed them", async () => {
    expect(await read(pagePath), "npm run mutants writes it").toBe(page(mutants, await readNoticed()));
  });
});
