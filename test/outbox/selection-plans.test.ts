// What an index can serve is found through it, among however many jobs: by owner, dedupe key, ordering key, tag, id, or as dead letters.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobFilter } from "../../src/outbox/filter.ts";
import { selectionOf } from "../../src/outbox/filter.ts";
import { conditionsOf } from "../../src/outbox/store/selection.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
const id = "00000000-0000-7000-8000-000000000001";

beforeAll(async () => {
  test = await testOutbox();
  // Every other job carries everything, so that no index is small; and all of a few types.
  await test.pool.query("alter table outbox disable trigger user");
  await test.pool.query(
    `insert into outbox (type, payload, status, owner, dedupe_key, dedupe_released, ordering_key, sequence, tags, finished_at)
     select 'type' || n % 7, jsonb_build_object('n', n), 'done', 'owner' || n / 10, 'key' || n, n % 3 = 0, 'line' || n / 10, n, array['tag' || n / 10, 'all'], now()
     from generate_series(1, 60000) as n`,
  );
  await test.pool.query("insert into outbox (type, payload, status) select 'plain', '{}', 'done' from generate_series(1, 60000)");
  await test.pool.query("insert into outbox (id, type, payload, status, last_error, owner, dedupe_key, ordering_key, sequence, tags) values ($1, 'type1', '{}', 'error', 'Error: no', 'owner777', null, 'line777', 0, '{tag777}')", [id]);
  await test.pool.query("alter table outbox enable trigger user");
  await test.pool.query("vacuum analyze outbox");
}, 120_000);
afterAll(() => test.close());

/** Pages that a list of this filter reads. */
async function pages(filter: JobFilter): Promise<number> {
  const where = conditionsOf(selectionOf(filter), 2);
  const client = await test.pool.connect();
  try {
    const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Record<string, number> }] }>({
      text: `explain (analyze, buffers, format json) select id from outbox where ${where.sql} order by outbox.id desc limit $1`,
      values: [50, ...where.values],
    });
    const { Plan: plan } = rows[0]!["QUERY PLAN"][0];
    return (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0);
  } finally {
    client.release();
  }
}

describe("among 120,000 jobs", () => {
  it.each([
    [{ id }],
    [{ owner: "owner50" }],
    [{ owner: "owner50", type: "type1" }],
    [{ dedupeKey: "key500" }],
    [{ dedupeKey: "key501" }],
    [{ orderingKey: "line50" }],
    [{ tag: "tag50" }],
    [{ tag: ["all", "tag50"] }],
    [{ status: "error" as const }],
    [{ status: "error" as const, type: "type1", error: "no" }],
    [{ status: "waiting" as const }],
  ])("%j reads a few pages", async (filter) => {
    expect(await pages(filter)).toBeLessThan(120);
  });

  it("what no index serves reads many", async () => {
    expect(await pages({ payload: { n: 1.5 } })).toBeGreaterThan(1000);
  });
});
