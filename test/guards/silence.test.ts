// A worker that is cut off from the database must not go on as if it had its lease: others are free to take its jobs.

import { afterAll, beforeAll, expect, it } from "vitest";
import { openSession } from "../../src/outbox/session.ts";
import { postgres } from "../../src/service/database.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Proxy } from "../support/proxy.ts";
import { proxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
let proxied: Proxy;
beforeAll(async () => {
  test = await testOutbox();
  proxied = await proxy(test.url);
});
afterAll(async () => {
  await proxied.close();
  await test.close();
});

it("a worker that reaches nobody for a whole lease ends its attempts before anybody tells it", async () => {
  const database = postgres(proxied.url);
  const beats: number[] = [];
  const session = await openSession(database, { types: ["work"], versions: () => [1], leaseMs: 1000, version: "test", emit: () => undefined, onBeat: () => beats.push(performance.now()) });
  await until("it beats", () => beats.length > 0);
  expect(session.lost.aborted).toBe(false);
  proxied.blackHole();
  await until("it has noticed", () => session.lost.aborted, 10_000);
  expect(String(session.lost.reason)).toContain("no beat has reached the database for a whole lease");
  // Nobody has buried it: the row is there.
  expect((await test.pool.query("select from outbox_worker where id = $1", [session.worker])).rowCount).toBe(1);
  proxied.cut();
  await session.close();
  await database.close();
});
