// The schema that Prisma reads, the migrations that make the tables and the client that is committed say the same.

import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { emptyDatabase, type TestDatabase } from "../support/database.ts";
import { findDrift, readSchema } from "../support/drift.ts";

const root = resolve(import.meta.dirname, "../..");
const prisma = join(root, "prisma");
const migrations = join(prisma, "migrations");
let db: TestDatabase;

beforeAll(async () => {
  db = await emptyDatabase();
});
afterAll(() => db.close());

test("the Prisma schema and the migrations agree", async () => {
  expect(await findDrift(db.url, migrations, await readSchema(prisma))).toBeNull();
});

test.skipIf(!existsSync(join(prisma, "demo.prisma")))("without the demo's file and the demo's migration, schema and migrations still agree", async () => {
  const folder = await mkdtemp(join(tmpdir(), "postcommit-drift-"));
  try {
    await cp(migrations, folder, { recursive: true, filter: (path) => !path.endsWith("_demo") });
    expect(await readdir(folder)).toHaveLength((await readdir(migrations)).length - 1);
    const schema = await readSchema(prisma);
    expect(await findDrift(db.url, folder, schema.filter((file) => file.path !== "demo.prisma"))).toBeNull();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a column that only the schema has is noticed", async () => {
  const schema = await readSchema(prisma);
  const changed = schema.map((file) => ({ ...file, content: file.content.replace("model Outbox {", "model Outbox {\n  surprise String?") }));
  expect(await findDrift(db.url, migrations, changed)).toContain('ADD COLUMN     "surprise" TEXT');
});

test("a table that only the migrations make is noticed", async () => {
  const schema = await readSchema(prisma);
  const without = schema.map((file) => ({ ...file, content: file.content.replace(/model Notification \{[\s\S]*?\n\}/, "") }));
  expect(await findDrift(db.url, migrations, without)).toContain('DROP TABLE "notification"');
});

test("the committed client in generated/prisma was made from this schema", async () => {
  const generated = await readFile(join(root, "generated/prisma/internal/class.ts"), "utf8");
  const literal = /"inlineSchema": ("(?:[^"\\]|\\.)*")/.exec(generated)?.[1];
  const schema = (await readSchema(prisma)).map((file) => file.content).join("\n");
  expect(JSON.parse(literal ?? "null"), "Run npm run generate and commit generated/").toBe(schema);
});
