// The fence of what a running attempt writes: worker, token and status, each asked for by itself.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Lease } from "../../src/outbox/job.ts";
import { beginEffect, endEffect, withdrawEffect, writeCheckpoint, writeProgress } from "../../src/outbox/store/running.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
let lease: Lease;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  const worker = randomUUID();
  lease = { jobId: await test.aJob({ status: "processing", attempts: 1, locked_by: worker, lease_token: 5 }), worker, token: 5 };
  await test.pool.query("insert into outbox_effect (job_id, name, state, attempt) values ($1, 'charge', 'begun', 1)", [lease.jobId]);
});

const effects = async () => (await test.pool.query<{ name: string; state: string }>("select name, state from outbox_effect order by name")).rows.map(({ name, state }) => `${name} ${state}`);

/** Each gives back whether it was written. */
const writes: Record<string, (held: Lease) => Promise<boolean>> = {
  progress: (held) => writeProgress(test.database, held, 50, "half"),
  "a checkpoint": (held) => writeCheckpoint(test.database, held, '{"page":1}'),
  "the beginning of an effect": async (held) => (await beginEffect(test.database, held, "refund", 1)).held,
  "the end of an effect": (held) => endEffect(test.database, held, "charge", "done", null),
  "the withdrawal of an effect": async (held) => {
    await withdrawEffect(test.database, held, "charge");
    return !(await effects()).includes("charge begun");
  },
};

describe.each(Object.entries(writes))("what a running attempt writes: %s", (_, write) => {
  it("is written while the attempt has its lease", async () => {
    expect(await write(lease)).toBe(true);
  });

  it.each<[string, () => Promise<Lease>]>([
    ["another worker's", () => Promise.resolve({ ...lease, worker: randomUUID() })],
    ["that of an earlier claim", () => Promise.resolve({ ...lease, token: 4 })],
    ["over, for the job was given back", async () => (await test.pool.query("update outbox set status = 'pending'"), lease)],
  ])("is not written when the lease is %s", async (_why, taken) => {
    expect(await write(await taken())).toBe(false);
    expect(await effects()).toEqual(["charge begun"]);
    expect((await test.pool.query("select progress, checkpoint from outbox")).rows).toEqual([{ progress: null, checkpoint: null }]);
  });
});
