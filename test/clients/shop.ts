// What the tests of clients share: a database with the outbox and one table of the app's, whose title is unique, which
// Postgres checks when the transaction commits and not before.

import type { AppOutbox } from "../../src/index.ts";
import { createOutbox } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

export interface Shop {
  readonly url: string;
  readonly pool: TestOutbox["pool"];
  readonly outbox: AppOutbox;
  /** What has been committed. */
  committed(): Promise<{ proposals: string[]; jobs: unknown[] }>;
  empty(): Promise<void>;
  close(): Promise<void>;
}

export const nothing = { proposals: [], jobs: [] };

export async function openShop(): Promise<Shop> {
  const test = await testOutbox();
  await test.pool.query("create table client_proposal (id uuid primary key default gen_random_uuid(), title text not null unique deferrable initially deferred)");
  const outbox = createOutbox({ connection: test.url });
  return {
    url: test.url,
    pool: test.pool,
    outbox,
    async committed() {
      const { rows } = await test.pool.query<{ title: string }>("select title from client_proposal order by title");
      return { proposals: rows.map(({ title }) => title), jobs: (await test.jobs()).map(({ payload }) => payload) };
    },
    async empty() {
      await test.pool.query("truncate client_proposal");
      await test.empty();
    },
    async close() {
      await outbox.close();
      await test.close();
    },
  };
}
