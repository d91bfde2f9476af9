// Enqueuing over a network that fails at any one message. What the trial does is in enqueue.ts.

import { afterAll, beforeAll, expect, it } from "vitest";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";
import { layEvidence, violations } from "../support/evidence.ts";
import { clients, tryToEnqueue } from "./enqueue.ts";
import { momentsOf } from "./moments.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await layEvidence(database.pool);
});
afterAll(() => database.close());

it.each(clients)("an order and its job, enqueued over %s, are both there or neither, wherever the connection is cut", { timeout: 120_000 }, async (client) => {
  const { messages } = await tryToEnqueue(database, client, null);
  const outcomes = new Set<string>();
  for (const { at, when } of momentsOf(messages, ({ statement }) => statement !== "")) {
    const { broken, told, there, at: message } = await tryToEnqueue(database, client, { at, when, how: "cut" });
    expect(broken, `${when} message ${at}`).toEqual([]);
    if (message !== null) outcomes.add(`${told ? "told" : "not told"}, ${there ? "there" : "not there"}`);
  }
  // Both sides of the commit were hit: it never came, or it did and the answer was lost.
  expect([...outcomes]).toEqual(expect.arrayContaining(["not told, not there", "not told, there"]));
  expect((await violations(database.pool, { atRest: false })).filter((sentence) => /^I[12]/.test(sentence))).toEqual([]);
});

it("a reply to COMMIT that is lost leaves the app in doubt, and the order with its job", async () => {
  const trial = await tryToEnqueue(database, "pg", { at: ({ sender, name, statement }) => sender === "postgres" && name === "CommandComplete" && statement === "commit", when: "before", how: "cut" });
  expect(trial).toMatchObject({ broken: [], told: false, there: true });
});
