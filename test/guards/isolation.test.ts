// The isolation of the engine's transactions where no setting of the session can be sent ahead.

import { afterAll, beforeAll, expect, it } from "vitest";
import { postgres } from "../../src/service/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { emptyDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => (db = await emptyDatabase()));
afterAll(() => db.close());

it("a transaction is READ COMMITTED behind a pooler too, in a database whose default is another one", async () => {
  await db.pool.query(`alter database ${new URL(db.url).pathname.slice(1)} set default_transaction_isolation = 'serializable'`);
  const database = postgres(`${db.url}?pgbouncer=true`);
  try {
    expect(await database.transaction((tx) => tx.query("show transaction_isolation"))).toEqual([{ transaction_isolation: "read committed" }]);
  } finally {
    await database.close();
  }
});
