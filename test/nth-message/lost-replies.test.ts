// Postgres has committed, and the answer never arrives. Each is a drain, cut at that very message.

import { afterAll, beforeAll, expect, inject, it } from "vitest";
import type { Passed } from "../support/message-proxy.ts";
import type { Trial } from "./scenario.ts";
import { prepareJobs, tryOut } from "./scenario.ts";

const server = { adminUrl: inject("adminUrl"), template: inject("template"), runId: inject("runId") };
let jobs: Awaited<ReturnType<typeof prepareJobs>>;
beforeAll(async () => {
  jobs = await prepareJobs(server);
});
afterAll(() => jobs.close());

/** The drain whose `nth` answer to such a statement is lost, with ReadyForQuery, which comes after the commit. */
async function without(statement: RegExp, nth = 1): Promise<Trial> {
  let answers = 0;
  const at = ({ name, statement: answered }: Passed) => name === "ReadyForQuery" && statement.test(answered) && (answers += 1) === nth;
  const trial = await tryOut(server, jobs.template, "drain", { at, when: "before", how: "cut" }, ["--lease", "30s"]); // no machine is so slow that it would lose it
  expect(trial.at, "no such answer came").not.toBeNull();
  expect(trial.broken, trial.stderr).toEqual([]);
  expect(trial.exitCodes).toEqual([0]); // the drain goes on by itself, and nothing is left to the next one
  return trial;
}

const untroubled = [
  { then: "complete", status: "done", attempts: 1, completions: 1, sent: 0 },
  { then: "once", status: "done", attempts: 1, completions: 0, sent: 1 },
  { then: "throw-until", status: "done", attempts: 2, completions: 0, sent: 0 },
];

it("the reply to COMMIT of ctx.complete is lost: the job is asked for by its token, is done in its first attempt, and its writes are there once", { timeout: 90_000 }, async () => {
  expect((await without(/^commit$/)).jobs).toEqual(untroubled);
});

it("the reply to a settlement that travels with a claim is lost: the job stays done in its first attempt, and the claim is given back uncounted", { timeout: 90_000 }, async () => {
  // The cut ends all connections: what ctx.effect was writing on another one may cost its job an attempt, and nothing else.
  const { jobs: [complete, once, throwing] } = await without(/^with done as materialized/, 3);
  expect([complete, throwing]).toEqual([untroubled[0], untroubled[2]]);
  expect(once).toMatchObject({ status: "done", sent: 1 });
});

it("the reply to a settlement by itself is lost: the failure is in the ledger once, and its attempt is counted once", { timeout: 90_000 }, async () => {
  expect((await without(/^with outcome as materialized/, 2)).jobs).toEqual(untroubled); // the first is within the transaction of ctx.complete
});

it("the reply to the ledger's note that an effect has happened is lost: another attempt finds it, and it does not happen again", { timeout: 90_000 }, async () => {
  const { jobs: [complete, once, throwing] } = await without(/^update outbox_effect set state/);
  expect([complete, throwing]).toEqual([untroubled[0], untroubled[2]]);
  expect(once).toEqual({ then: "once", status: "done", attempts: 2, completions: 0, sent: 1 });
});

it("the reply to the ledger's note that an effect is about to happen is lost: it happens once, in another attempt", { timeout: 90_000 }, async () => {
  const { jobs: [complete, once, throwing] } = await without(/^with job as materialized .* outbox_effect/);
  expect([complete, throwing]).toEqual([untroubled[0], untroubled[2]]);
  expect(once).toEqual({ then: "once", status: "done", attempts: 2, completions: 0, sent: 1 });
});
