// What doctor compares a database with is what the migrations make. After a new migration this writes it anew:
//   npx vitest run test/service/doctor/expected-schema.test.ts --update
import { afterAll, beforeAll, expect, it } from "vitest";
import { postgres } from "../../../src/service/database.ts";
import { readCatalog } from "../../../src/service/doctor/catalog.ts";
import { readOnly } from "../../../src/service/doctor/look.ts";
import { testDatabase, type TestDatabase } from "../../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

it("the schema that doctor expects is the one that the migrations make", async () => {
  const database = postgres(db.url);
  try {
    const { rows } = await db.pool.query<{ name: string }>(
      `select relname as name from pg_class
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and (relname ~ '^outbox(_|$)' or relname in ('notification', 'audit_log'))`,
    );
    const items = await readCatalog(readOnly(database), rows.map(({ name }) => name));
    const text = [
      "// What the migrations make, as Postgres describes it. Not by hand: test/service/doctor/expected-schema.test.ts writes it.",
      "",
      'import type { CatalogItem } from "./catalog.ts";',
      "",
      "export const expectedSchema: readonly CatalogItem[] = [",
      ...items.map(({ kind, table, name, definition }) => `  { kind: "${kind}", table: "${table}", name: ${JSON.stringify(name)}, definition: ${JSON.stringify(definition)} },`),
      "];",
      "",
    ].join("\n");
    await expect(text).toMatchFileSnapshot("../../../src/service/doctor/expected-schema.ts");
  } finally {
    await database.close();
  }
});
