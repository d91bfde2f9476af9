// The generated clients are committed: each must be that of the schema beside it. Anew: test/clients/generate.ts

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";

it.each(["prisma-6/with-outbox", "prisma-6/without-outbox", "prisma-7/with-outbox", "prisma-7/without-outbox"])("%s", async (app) => {
  const [folder = "", name = ""] = app.split("/");
  const schema = await readFile(join(import.meta.dirname, folder, `${name}.prisma`), "utf8");
  const code = await readFile(join(import.meta.dirname, folder, "generated", name, "internal/class.ts"), "utf8");
  const inline = /"inlineSchema": ("(?:[^"\\]|\\.)*")/.exec(code)?.[1] ?? '""';
  expect(JSON.parse(inline)).toBe(schema);
});
