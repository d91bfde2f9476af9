// The last guard against a slot that fires twice stands in the table, for programs that do not ask first.

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { recordSlots } from "../../src/outbox/store/schedules.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

it("the table itself takes a slot once: whoever records it again fails, and their jobs with it", async () => {
  const slotAt = new Date("2026-03-29T01:30:00Z");
  const fire = () =>
    test.database.transaction(async (tx) => {
      const jobId = randomUUID();
      await tx.query("insert into outbox (id, type, payload) values ($1, 'work', '{}')", [jobId]);
      await recordSlots(tx, "nightly", [{ slotAt, jobId }], null);
    });
  await fire();
  await expect(fire()).rejects.toThrow("outbox_slot_pkey");
  expect(await test.jobs()).toHaveLength(1);
});
