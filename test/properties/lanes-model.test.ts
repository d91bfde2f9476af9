// Cursors are hints: whatever two workers believe about the lanes, and however late a transaction commits, once enqueues
// have stopped one deep look and a claim for every batch find all that is due, each once, and nothing that is not.
// LANES_MODEL_MS=60000 searches for longer, PROPERTY_SEED=1 repeats a run.

import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Lanes } from "../../src/outbox/lanes.ts";
import { createLanes } from "../../src/outbox/lanes.ts";
import { look } from "../../src/outbox/look.ts";
import type { Lease } from "../../src/outbox/job.ts";
import { exchange } from "../../src/outbox/store/exchange.ts";
import { registerWorker } from "../../src/outbox/store/workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { propertySeed } from "../support/property-seed.ts";

const searchMs = Number(process.env.LANES_MODEL_MS ?? 8000);
/** A look trusts that what is older than two seconds has been committed; a run in which a transaction took nearly as long proves nothing about shallow looks. */
const trustedMs = 1500;

const types = ["a", "b", "c"];
const priorities = [-3, 0, 32_767];

let test: TestOutbox;
beforeAll(async () => (test = await testOutbox()));
afterAll(() => test.close());

interface Claimer {
  readonly worker: string;
  readonly lanes: Lanes;
  token: number;
  done: Lease[];
}

interface World {
  readonly claimers: readonly [Claimer, Claimer];
  /** Transactions that have enqueued and not yet committed. */
  readonly open: { readonly client: pg.PoolClient; readonly since: number }[];
  /** Every id that was claimed, in order, with repetitions if there were any. */
  readonly claimed: string[];
  slowestMs: number;
  /** Jobs may be stored as if they had been due for an hour; otherwise those are due now. */
  readonly backdates: boolean;
  readonly story: string[];
}

async function newWorld(backdates: boolean): Promise<World> {
  await test.pool.query("delete from outbox; delete from outbox_worker");
  const claimer = async (): Promise<Claimer> => {
    const worker = randomUUID();
    await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types, versions: [], leaseMs: 30_000 });
    return { worker, lanes: createLanes(() => types), token: 0, done: [] };
  };
  return { claimers: [await claimer(), await claimer()], open: [], claimed: [], slowestMs: 0, backdates, story: [] };
}

type Due = "now" | "an hour ago" | "in an hour";
interface Enqueue {
  readonly type: string;
  readonly priority: number;
  readonly due: Due;
}

async function insert(sql: Pick<pg.Pool, "query">, { backdates }: World, jobs: readonly Enqueue[]): Promise<void> {
  const offset = { now: "0", "an hour ago": backdates ? "-1 h" : "0", "in an hour": "1 h" };
  for (const { type, priority, due } of jobs) {
    await sql.query("insert into outbox (type, payload, priority, run_at) values ($1, '{}', $2, transaction_timestamp() + $3::interval)", [type, priority, offset[due]]);
  }
}

async function seek(claimer: Claimer, deep: boolean): Promise<void> {
  claimer.lanes.learn(await look(test.database, claimer.lanes.question(deep)), deep);
}

/** One turn of a worker's, as pump.ts and turns.ts make it; gives back how many it has claimed. `meanwhile` comes before the answer is heard. */
async function claim(world: World, claimer: Claimer, limit: number, meanwhile?: () => Promise<void>): Promise<number> {
  claimer.token += 1;
  const done = claimer.done.splice(0).map((lease) => ({ lease, result: null }));
  const offer = claimer.lanes.offer(limit);
  const { jobs, lost } = await exchange(test.database, { worker: claimer.worker, token: claimer.token }, done, offer.lanes, limit);
  await meanwhile?.();
  expect(lost.size).toBe(0);
  expect(jobs.length, "never more than the limit").toBeLessThanOrEqual(limit);
  for (const { job, at } of jobs) {
    claimer.lanes.advance(offer, job, at);
    claimer.done.push(job.lease);
    world.claimed.push(job.id);
  }
  if (jobs.length < limit) claimer.lanes.exhaust(offer);
  return jobs.length;
}

async function commitOne(world: World, nth: number): Promise<void> {
  const [transaction] = world.open.length === 0 ? [] : world.open.splice(nth % world.open.length, 1);
  if (transaction === undefined) return;
  await transaction.client.query("commit");
  transaction.client.release();
  world.slowestMs = Math.max(world.slowestMs, performance.now() - transaction.since);
}

const job = fc.record({ type: fc.constantFrom("a", "a", "a", ...types), priority: fc.constantFrom(0, 0, 0, ...priorities), due: fc.constantFrom<Due>("now", "now", "now", "now", "in an hour", "an hour ago") });
const who = fc.constantFrom(0 as const, 1 as const);
const batch = fc.integer({ min: 1, max: 6 });

type Step = { readonly told: string; readonly run: (world: World) => Promise<unknown> };
const jobsTold = (jobs: readonly Enqueue[]) => jobs.map(({ type, priority, due }) => `${type}/${priority} due ${due}`).join(", ");

const step = (told: string, run: Step["run"]): Step => ({ told, run });
const anyStep = fc.oneof(
  fc.array(job, { minLength: 1, maxLength: 6 }).map((jobs) =>
    step(`enqueue ${jobsTold(jobs)}`, (world) => insert(test.pool, world, jobs)),
  ),
  fc.array(job, { minLength: 1, maxLength: 3 }).map((jobs) =>
    step(`begin, enqueue ${jobsTold(jobs)}`, async (world) => {
      if (world.open.length >= 4) return;
      const client = await test.pool.connect();
      world.open.push({ client, since: performance.now() });
      await client.query("begin");
      await insert(client, world, jobs);
    }),
  ),
  fc.nat(3).map((nth) => step(`commit the ${nth + 1}. open transaction`, (world) => commitOne(world, nth))),
  ...[0, 1, 2].map(() => fc.tuple(who, batch).map(([which, limit]) => step(`worker ${which} claims up to ${limit}`, (world) => claim(world, world.claimers[which], limit)))),
  fc.tuple(batch, batch).map(([one, other]) => step(`both claim at once, up to ${one} and ${other}`, (world) => Promise.all([claim(world, world.claimers[0], one), claim(world, world.claimers[1], other)]))),
  // Two claims of one worker under way at once begin at the same cursors.
  fc.tuple(who, batch).map(([which, limit]) => step(`worker ${which} claims up to ${limit}, twice at once`, (world) => Promise.all([claim(world, world.claimers[which], limit), claim(world, world.claimers[which], limit)]))),
  fc.tuple(who, fc.nat(3)).map(([which, n]) => step(`worker ${which} looks${n === 0 ? ", deeply" : ""}`, (world) => seek(world.claimers[which], n === 0))),
  who.map((which) => step(`the doorbell wakes worker ${which}`, (world) => {
    world.claimers[which].lanes.wake();
    return Promise.resolve();
  })),
  fc.tuple(who, batch).map(([which, limit]) => step(`worker ${which} claims up to ${limit}, and looks before it hears the answer`, (world) => claim(world, world.claimers[which], limit, () => seek(world.claimers[which], false)))),
);

/** A look, and then claims until one comes back short: as many as there are batches, and one that finds nothing. */
async function sweep(world: World, claimer: Claimer, deep: boolean, limit: number): Promise<void> {
  await seek(claimer, deep);
  await claimAll(world, claimer, limit);
}

async function claimAll(world: World, claimer: Claimer, limit: number): Promise<void> {
  const due = (await pendingDue()).length;
  for (let left = Math.floor(due / limit) + 1; left > 0; left -= 1) if ((await claim(world, claimer, limit)) < limit) break;
}

const pendingDue = async () => (await test.pool.query<{ left: string }>("select type || '/' || priority as left from outbox where status = 'pending' and run_at <= clock_timestamp()")).rows.map(({ left }) => left);

// First, for the property below may be interrupted in the middle of a history, which then goes on for a moment.
it("a claim that was under way while a look found something behind it does not carry the cursor past that", async () => {
  const world = await newWorld(false);
  const [claimer] = world.claimers;
  const base = Date.now() - 1000;
  const aSecondAgo = (n: number) => test.aJob({ type: "a", run_at: new Date(base + n) });
  for (const n of [10, 11, 12, 13]) await aSecondAgo(n);
  await seek(claimer, true);
  await claim(world, claimer, 1);
  const late = await aSecondAgo(0);
  await claim(world, claimer, 1, () => seek(claimer, false));
  await claim(world, claimer, 1);
  expect(world.claimed.at(-1)).toBe(late);
});

it("what is due is found by one look and a claim for each batch, each job once, and nothing before its time", async () => {
  const counted = { runs: 0, shallow: 0, jobs: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 40, size: "max" }), batch, who, fc.boolean(), fc.boolean(), async (steps, limit, which, backdates, midway) => {
      const world = await newWorld(backdates);
      const claimer = world.claimers[which];
      try {
        for (const { told, run } of steps) {
          world.story.push(told);
          await run(world);
        }
        const stop = async () => {
          while (world.open.length > 0) await commitOne(world, 0);
        };
        world.story.push(`enqueues stop${midway ? `, while worker ${which} has a claim under way` : ""}`);
        // A look from the marks on finds whatever was committed within two seconds of its run_at; also one that is back
        // before a claim that had begun earlier. After a claim that came back short nothing is known.
        const full = midway && (await claim(world, claimer, limit, () => stop().then(() => seek(claimer, false)))) === limit;
        await stop();
        if (!backdates && world.slowestMs < trustedMs) {
          counted.shallow += 1;
          if (full) await claimAll(world, claimer, limit);
          else await sweep(world, claimer, false, limit);
          expect(await pendingDue(), "left by a shallow look").toEqual([]);
        }
        await sweep(world, claimer, true, limit);
        expect(await pendingDue(), "left by a deep look").toEqual([]);
        for (const each of world.claimers) await claim(world, each, 1); // settles the last

        expect(world.claimed.length, "claimed twice").toBe(new Set(world.claimed).size);
        const { rows } = await test.pool.query<{ id: string; status: string; attempts: number; due: boolean }>("select id, status, attempts, run_at <= clock_timestamp() as due from outbox");
        const wrong = rows.filter(({ id, status, attempts, due }) => {
          if (!due) return status !== "pending" || attempts !== 0 || world.claimed.includes(id);
          return status !== "done" || attempts !== 1 || !world.claimed.includes(id);
        });
        expect(wrong, "due jobs are done by one attempt, others untouched").toEqual([]);
        counted.runs += 1;
        counted.jobs += rows.length;
      } catch (error) {
        throw new Error(`${world.story.map((line, index) => `${index + 1}. ${line}`).join("\n")}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
      } finally {
        for (const { client } of world.open) client.release(true);
      }
    }),
    { seed: propertySeed, numRuns: 1_000_000, interruptAfterTimeLimit: searchMs, markInterruptAsFailure: false },
  );
  console.log(`lanes model: ${counted.runs} histories (${counted.shallow} judged after a shallow look), ${counted.jobs} jobs; PROPERTY_SEED=${propertySeed}`);
  expect(counted.shallow).toBeGreaterThan(0);
}, searchMs * 2 + 60_000);
