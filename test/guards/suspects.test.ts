// A job that a worker died of may kill the next one too, so it runs alone.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TestOutbox } from "../support/outbox.ts";
import { barrier, testOutbox, worksBy } from "../support/outbox.ts";

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

it("a suspect runs while nothing else does, also when it is found in the middle of other work", async () => {
  const [found, suspectBegan] = [barrier(), barrier()];
  await test.aJob({ payload: { n: 1 } });
  await test.aJob({ payload: { n: 2 } });
  const order: string[] = [];
  const handler = worksBy(async ({ n }) => {
    order.push(`${n ?? 0} begins`);
    if (n === 1) {
      await found.reached;
      // The settlement of the second job has the drain look around. Time enough for the suspect to begin, if it could.
      await Promise.race([suspectBegan.reached, sleep(1000)]);
    }
    if (n === 2) {
      await test.aJob({ payload: { n: 3 }, suspect: true, attempts: 1 });
      found.open();
    }
    if (n === 3) suspectBegan.open();
    order.push(`${n ?? 0} ends`);
  });
  expect(await test.outbox.drain({ handlers: [handler] })).toMatchObject({ done: 3 });
  expect(order).toEqual(["1 begins", "2 begins", "2 ends", "1 ends", "3 begins", "3 ends"]);
});
