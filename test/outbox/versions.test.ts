// Programs of several versions run at once during every deployment: new jobs are not given to old handlers, and old jobs
// are lifted by new ones.

import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { defineJob, handle } from "../../src/index.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";
import { workersOfEachTest } from "../support/workers.ts";

const startWorker = workersOfEachTest();
let test: TestOutbox;
let ran: unknown[];
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());
beforeEach(async () => {
  await test.empty();
  ran = [];
});

const first = defineJob({ type: "greet", schema: z.object({ name: z.string() }) });
const second = defineJob({
  type: "greet",
  version: 2,
  schema: z.object({ names: z.array(z.string()) }),
  migrate: (payload, version) => (version === 1 ? { names: [(payload as { name: string }).name] } : payload),
});
const oldHandler = handle(first, (payload) => Promise.resolve(void ran.push(["old", payload])));
const newHandler = handle(second, (payload) => Promise.resolve(void ran.push(["new", payload])));

it("a payload of an older version is lifted before it is checked", async () => {
  await test.outbox.enqueueAlone(first, { name: "Ann" });
  await test.outbox.enqueueAlone(second, { names: ["Bo"] });
  expect(await test.outbox.drain({ handlers: [newHandler] })).toMatchObject({ done: 2 });
  expect(ran).toEqual([["new", { names: ["Ann"] }], ["new", { names: ["Bo"] }]]);
});

it("without migrate an older payload is taken as it is, if it fits", async () => {
  const wider = defineJob({ type: "greet", version: 3, schema: z.object({ name: z.string(), loud: z.boolean().default(false) }) });
  await test.outbox.enqueueAlone(first, { name: "Ann" });
  await test.outbox.drain({ handlers: [handle(wider, (payload) => Promise.resolve(void ran.push(payload)))] });
  expect(ran).toEqual([{ name: "Ann", loud: false }]);
});

it("a job of a newer version is left alone by an older program, uncounted, and said so once", async () => {
  for (let n = 0; n < 50; n += 1) await test.outbox.enqueueAlone(second, { names: [`${n}`] });
  const report = await test.outbox.drain({ handlers: [oldHandler] });
  expect(report).toMatchObject({ done: 0, dead: 0, retried: 0, stopReason: "empty" });
  expect(ran).toEqual([]);
  const jobs = await test.jobs();
  expect(jobs.every(({ status, attempts }) => status === "pending" && attempts === 0)).toBe(true);
  expect(test.events.filter(({ event }) => event === "newer_jobs_left")).toMatchObject([{ type: "greet", version: 2, known: 1 }]);
  expect(await test.outbox.drain({ handlers: [newHandler] })).toMatchObject({ done: 50 });
});

it("an old and a new worker side by side: each job is run by one that knows it", async () => {
  startWorker(test.outbox, { handlers: [oldHandler] });
  startWorker(test.other, { handlers: [newHandler] });
  for (let n = 0; n < 20; n += 1) {
    await test.outbox.enqueueAlone(first, { name: `${n}` });
    await test.outbox.enqueueAlone(second, { names: [`${n}`] });
  }
  await until("all are done", async () => (await test.outbox.counts()).done === 40);
  expect(ran.filter((run) => (run as [string, object])[0] === "old" && "names" in (run as [string, object])[1])).toEqual([]);
});

it("many of several versions are stored by one statement, each with its own", async () => {
  const client = await test.pool.connect();
  await client.query("begin");
  await test.outbox.enqueueMany(client, [first.job({ name: "Ann" }), second.job({ names: ["Bo"] })]);
  await client.query("commit");
  client.release();
  const { rows } = await test.pool.query<{ version: number }>("select version from outbox order by version");
  expect(rows.map(({ version }) => version)).toEqual([1, 2]);
});

it("a payload that cannot be lifted is a dead letter that says from where to where", async () => {
  const broken = defineJob({ type: "greet", version: 2, migrate: () => { throw new Error("no name"); } }); // prettier-ignore
  const { id } = await test.outbox.enqueueAlone(first, { name: "Ann" });
  await test.outbox.drain({ handlers: [handle(broken, () => Promise.resolve())] });
  expect(await test.job(id)).toMatchObject({ status: "error", attempts: 1 });
  expect((await test.job(id)).last_error).toContain("could not be lifted from version 1 to 2: no name");
});

it.each([[0], [1.5], ["2" as never], [-1]])("the version %s is refused", (version) => {
  expect(() => defineJob({ type: "greet", version })).toThrow('Expected version of "greet" to be a whole number from 1');
});
