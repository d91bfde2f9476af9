// Random histories of one outbox, step by step: after each the table equals model.ts, and the invariants hold. A history
// that fails is shrunk and told as a story. ENGINE_MODEL_MS=120000 searches for longer, PROPERTY_SEED=1 repeats a run.

import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { defineJob, LeaseLostError } from "../../src/index.ts";
import type { EnqueueOptions } from "../../src/outbox/enqueue.ts";
import type { ClaimedJob, Outcome } from "../../src/outbox/job.ts";
import { pruneFinished } from "../../src/outbox/maintenance.ts";
import { completeJob, createSettler } from "../../src/outbox/settle.ts";
import { claimSuspect, unclaim, utc } from "../../src/outbox/store/claim.ts";
import type { Cursor } from "../../src/outbox/store/exchange.ts";
import { compareCursors, exchange } from "../../src/outbox/store/exchange.ts";
import { beat, buryWorkers, registerWorker, rescueJobs } from "../../src/outbox/store/workers.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { propertySeed } from "../support/property-seed.ts";
import type { Model, ModelJob, ModelOutcome } from "./model.ts";
import { createModel } from "./model.ts";

const searchMs = Number(process.env.ENGINE_MODEL_MS ?? 20_000);

const contracts = { alpha: defineJob({ type: "alpha" }), beta: defineJob({ type: "beta" }) };
const types = Object.keys(contracts);
const lanes = [10, 0].flatMap((priority) => types.map((type) => ({ type, priority })));
const dedupeFor = { soon: "1h", open: "until-done", ever: "forever" } as const;
const beginning: Cursor = { runAt: "-infinity", id: "00000000-0000-0000-0000-000000000000" };
const failure = { errorClass: "Error", message: "it failed", stack: null };

let test: TestOutbox;
beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query("create table effects (job uuid not null)");
});
afterAll(() => test.close());

/** One of the two processes: it has a row or is about to notice that it has none, and remembers where it claimed last. */
interface Hand {
  readonly name: string;
  worker: string;
  token: number;
  readonly cursors: Map<string, Cursor>;
}

/** What really happened, kept beside the model and apart from it. */
interface World {
  readonly hands: readonly [Hand, Hand];
  /** Every lease that was ever given out, and the outcome that was accepted under it. */
  readonly leases: { readonly job: ClaimedJob; accepted: ModelOutcome | "completed" | null }[];
  /** Claims whose answers were lost. */
  readonly doubts: { worker: string; token: number }[];
  readonly names: Map<string, string>;
  readonly story: string[];
  /** Jobs that were seen in a terminal status, and nobody has redriven. */
  readonly ended: Map<string, string>;
}

async function register(model: Model, hand: Hand): Promise<void> {
  hand.worker = randomUUID();
  await registerWorker(test.database, { id: hand.worker, host: hand.name, pid: 1, version: "test", types, versions: [], leaseMs: 30_000 });
  model.workers.set(hand.worker, { silent: false });
}

async function newWorld(model: Model): Promise<World> {
  // Faster than truncating a few rows.
  await test.pool.query("delete from outbox; delete from outbox_worker; delete from effects");
  const hand = (name: string): Hand => ({ name, worker: "", token: 0, cursors: new Map() });
  const world: World = { hands: [hand("A"), hand("B")], leases: [], doubts: [], names: new Map(), story: [], ended: new Map() };
  for (const each of world.hands) await register(model, each);
  return world;
}

type Step = (model: Model, world: World) => Promise<string>;

/** Whose columns are the fields of the model's job. */
const tableText = `
  select id, type, priority, status, attempts, max_attempts as "maxAttempts", suspect, finished_at is not null as finished,
    run_at <= clock_timestamp() as due, ${utc("run_at")} as "runAt", locked_by as "lockedBy", lease_token::float8 as token,
    dedupe_key as "dedupeKey", dedupe_released as released,
    array(select attempt || ' ' || outcome from outbox_attempt where job_id = outbox.id order by id) as ledger,
    (select count(*)::int from effects where job = outbox.id) as completions
  from outbox`;
type TableJob = Omit<ModelJob, "runAt" | "released" | "held" | "starts" | "givenBack" | "takenByHand"> & { runAt: string; released: boolean };

async function agree(model: Model, { names, ended, leases }: World): Promise<void> {
  const { rows } = await test.pool.query<TableJob>(tableText);
  for (const row of rows) {
    const job = model.jobs.get(row.id);
    if (job === undefined) continue; // the comparison below says so
    job.runAt ??= row.runAt;
    job.released ??= row.released;
  }
  const named = <Job extends { id: string }>(jobs: Iterable<Job>) => Object.fromEntries([...jobs].map((job) => [names.get(job.id) ?? job.id, job]));
  expect(Object.keys(named(rows)).sort(), "the jobs in the table").toEqual(Object.keys(named(model.jobs.values())).sort());
  expect(named(model.jobs.values()), "the model (received) equals the table (expected)").toMatchObject(named(rows));
  const { rows: workers } = await test.pool.query<{ id: string }>("select id from outbox_worker");
  expect(workers.map(({ id }) => id).sort(), "the workers").toEqual([...model.workers.keys()].sort());

  for (const row of rows) {
    const job = model.jobs.get(row.id)!;
    const name = names.get(row.id);
    // I3, from the leases that were given out and not from the model's own count of them.
    expect(row.attempts, `attempts of ${name}: starts that were not given back`).toBe(job.starts - job.givenBack);
    if (!job.takenByHand) expect(row.attempts, `attempts of ${name} within its maximum`).toBeLessThanOrEqual(row.maxAttempts);
    // I4
    const before = ended.get(row.id);
    if (before !== undefined) expect(row.status, `${name} was ${before}, and terminal is terminal`).toBe(before);
    if (["done", "error", "cancelled"].includes(row.status)) ended.set(row.id, row.status);
    // I5, I6
    const accepted = leases.filter((lease) => lease.job.id === row.id && lease.accepted === "completed").length;
    expect(row.completions, `effects of ${name}: one for each completion that was accepted`).toBe(accepted);
    expect(leases.filter((lease) => lease.job.id === row.id && (lease.accepted === "done" || lease.accepted === "completed")).length, `successes of ${name}`).toBeLessThanOrEqual(1);
  }
}

const outcomeOf = (outcome: ModelOutcome): Outcome => {
  if (outcome === "done") return { kind: "done", result: '{"ok":true}' };
  if (outcome === "dead") return { kind: "dead", failure, timedOut: false, final: true };
  if (outcome === "released") return { kind: "released" };
  return { kind: "retried", failure, delayMs: outcome === "retried" ? 0 : 3_600_000, timedOut: false, typeWaitsMs: null };
};

/**
 * The leases at these places from the last one backwards, no two of one job: a batch of a worker's never has two. Mostly
 * of jobs that are running, under this lease or a later one.
 */
function pick<Choice extends { nth: number }>(model: Model, { leases }: World, choices: readonly Choice[]): (Choice & { lease: World["leases"][number] })[] {
  const picked = new Map<string, Choice & { lease: World["leases"][number] }>();
  const running = leases.filter(({ job }) => model.jobs.get(job.id)?.status === "processing");
  for (const choice of choices) {
    const some = choice.nth % 4 === 3 ? leases : running;
    const lease = some.at(-1 - (choice.nth % Math.max(some.length, 1)));
    if (lease !== undefined && !picked.has(lease.job.id)) picked.set(lease.job.id, { ...choice, lease });
  }
  return [...picked.values()];
}

const tell = (world: World, { job }: World["leases"][number]) => `${world.names.get(job.id)}, attempt ${job.attempt} of ${world.hands.find(({ worker }) => worker === job.lease.worker)?.name ?? "a former worker"}`;

function begun(world: World, job: ClaimedJob): void {
  world.leases.push({ job, accepted: null });
}

const steps = {
  enqueue:
    (type: keyof typeof contracts, priority: number, key: keyof typeof dedupeFor | null, delayed: boolean, maxAttempts: number, commits: boolean): Step =>
    async (model, world) => {
      const options: EnqueueOptions = { priority, maxAttempts };
      if (key !== null) Object.assign(options, { dedupeKey: key, dedupeFor: dedupeFor[key] });
      if (delayed) options.delay = "1h";
      const client = await test.pool.connect();
      try {
        await client.query("begin");
        const { id, deduplicated } = await test.outbox.enqueue(client, contracts[type], {}, options);
        await client.query(commits ? "commit" : "rollback");
        const holder = model.keyHolder(type, key);
        expect({ deduplicated, holder: deduplicated ? id : null }).toEqual({ deduplicated: holder !== null, holder });
        if (commits && holder === null) {
          world.names.set(id, `#${world.names.size + 1}`);
          const held = key === null ? null : ({ soon: "window", open: "until-done", ever: "forever" } as const)[key];
          model.enqueue({ id, type, priority, maxAttempts, due: !delayed, dedupeKey: key, held });
        }
        return `${commits ? "enqueue" : "roll back an enqueue of"} ${world.names.get(id) ?? ""} (${type}, priority ${priority}, ${maxAttempts} attempts${delayed ? ", in an hour" : ""}${key === null ? "" : `, key "${key}"`})${deduplicated ? ": deduplicated" : ""}`;
      } finally {
        client.release();
      }
    },

  exchange:
    (which: 0 | 1, limit: number, from: "beginning" | "cursors", done: readonly { nth: number }[], answerLost: boolean): Step =>
    async (model, world) => {
      const hand = world.hands[which];
      const settled = pick(model, world, done).filter(({ lease }) => lease.job.lease.worker === hand.worker);
      const offered = lanes.map((lane) => ({ ...lane, from: from === "beginning" ? beginning : (hand.cursors.get(`${lane.type} ${lane.priority}`) ?? beginning) }));
      hand.token += 1;
      const claim = { worker: hand.worker, token: hand.token };
      const answer = await exchange(test.database, claim, settled.map(({ lease }) => ({ lease: lease.job.lease, result: null })), offered, limit);

      const lost = settled.filter(({ lease }) => !model.settle(lease.job.lease, "done")).map(({ lease }) => lease.job.id);
      if (!answerLost) expect([...answer.lost].sort(), "what the exchange answers as lost").toEqual(lost.sort());
      for (const { lease } of settled) if (!lost.includes(lease.job.id)) lease.accepted = "done";
      const expected = model.claim(claim.worker, claim.token, offered, limit);
      const told = `${hand.name} settles ${settled.map(({ lease }) => `${tell(world, lease)}${lost.includes(lease.job.id) ? " (lost)" : ""}`).join("; ") || "nothing"} and claims ${expected.map((id) => world.names.get(id)).join(" ") || "nothing"} (up to ${limit} from the ${from})`;
      expect(answer.jobs.map(({ job }) => job.id).sort(), told).toEqual([...expected].sort());
      if (answerLost) {
        world.doubts.push(claim);
        return `${told}, but the answer is lost`;
      }
      for (const { job, at } of answer.jobs) {
        begun(world, job);
        const lane = `${job.type} ${job.priority}`;
        if (compareCursors(hand.cursors.get(lane) ?? beginning, at) < 0) hand.cursors.set(lane, at);
      }
      return told;
    },

  giveBackDoubts: (): Step => async (model, world) => {
    const told = `give back what was taken by ${world.doubts.length} claims without an answer`;
    for (const { worker, token } of world.doubts.splice(0)) {
      await unclaim(test.database, worker, token);
      model.unclaim(worker, token);
    }
    return told;
  },

  claimSuspect:
    (which: 0 | 1): Step =>
    async (model, world) => {
      const hand = world.hands[which];
      hand.token += 1;
      const jobs = await claimSuspect(test.database, hand, types);
      expect(jobs.map(({ id }) => id)).toEqual(model.claimSuspect(hand.worker, hand.token));
      for (const job of jobs) begun(world, job);
      return `${hand.name} claims the suspect ${jobs.map(({ id }) => world.names.get(id)).join() || "(none)"}`;
    },

  /** `again`: the answer to an earlier try may have been lost, so what it has written stands. */
  settle:
    (choices: readonly { nth: number; outcome: ModelOutcome }[], again: boolean): Step =>
    async (model, world) => {
      const batch = pick(model, world, choices).map(({ lease, outcome }) => {
        if (again && lease.accepted !== null && lease.accepted !== "completed") return { lease, outcome: lease.accepted };
        // run-job.ts retries nothing that has no attempts left.
        return { lease, outcome: outcome.startsWith("retried") && lease.job.attempt >= lease.job.maxAttempts ? ("dead" as const) : outcome };
      });
      const told: string[] = [];
      const lost: string[] = [];
      const settler = createSettler(test.database, (event) => event.event === "job_lost" && lost.push(event.job.id), 1000);
      await settler.settle(batch.map(({ lease, outcome }) => ({ job: lease.job, outcome: outcomeOf(outcome), durationMs: 1 })), again);
      for (const { lease, outcome } of batch) {
        const written = model.settle(lease.job.lease, outcome);
        const isLost = lost.includes(lease.job.id);
        told.push(`${tell(world, lease)}: ${outcome}${isLost ? " (lost)" : ""}`);
        if (written) expect(isLost, `${told.at(-1)}: its fence held`).toBe(false);
        // What was given back uncounted, by us or by hand, looks the same, and is.
        else if (!again || (lease.accepted === null && outcome !== "released")) expect(isLost, `${told.at(-1)}: its fence did not hold, and nothing was written before`).toBe(true);
        if (written) lease.accepted = outcome;
      }
      expect(settler.tally.lost).toBe(lost.length);
      return `settle ${again ? "again " : ""}${told.join("; ") || "nothing"}`;
    },

  complete:
    (nth: number, fails: boolean): Step =>
    async (model, world) => {
      const [picked] = pick(model, world, [{ nth }]);
      if (picked === undefined) return "complete nothing";
      const { lease } = picked;
      const completing = completeJob(test.database, (work) => test.database.transaction(work), lease.job, async (tx) => {
        await tx.query("insert into effects values ($1)", [lease.job.id]);
        if (fails) throw new Error("half way");
        return { value: "complete", result: null };
      });
      const told = await completing.catch((error: unknown) => (error instanceof LeaseLostError ? "lost" : String(error)));
      const stands = !fails && model.settle(lease.job.lease, "done");
      expect(told).toBe(fails ? "Error: half way" : stands ? "complete" : "lost");
      if (stands) {
        lease.accepted = "completed";
        model.jobs.get(lease.job.id)!.completions += 1;
      }
      return `ctx.complete of ${tell(world, lease)}: ${told}`;
    },

  beat:
    (which: 0 | 1): Step =>
    async (model, world) => {
      const hand = world.hands[which];
      const alive = await beat(test.database, hand.worker, []);
      expect(alive).toBe(model.workers.has(hand.worker));
      if (alive) model.workers.set(hand.worker, { silent: false });
      else await register(model, hand); // its cursors are those of the process, and stay
      return `${hand.name} beats${alive ? "" : ", finds itself buried and goes on under a new id"}`;
    },

  silence:
    (which: 0 | 1): Step =>
    async (model, world) => {
      const hand = world.hands[which];
      await test.pool.query("update outbox_worker set beat_at = beat_at - interval '1 hour' where id = $1", [hand.worker]);
      if (model.workers.has(hand.worker)) model.workers.set(hand.worker, { silent: true });
      return `${hand.name} has not beaten for an hour`;
    },

  rescue: (dies?: 0 | 1): Step => async (model, world) => {
    const before = dies === undefined ? "" : `${await steps.silence(dies)(model, world)}; `;
    await buryWorkers(test.database);
    model.bury();
    const { returned, dead } = await rescueJobs(test.database, 1000);
    const expected = model.rescue();
    expect(returned + dead.length).toBe(expected.length);
    expect(dead.map(({ id }) => id).sort()).toEqual(expected.filter((id) => model.jobs.get(id)?.status === "error").sort());
    // I1
    expect((await test.pool.query("select from outbox where status = 'processing' and not exists (select from outbox_worker where id = locked_by)")).rowCount).toBe(0);
    return `${before}bury who is silent and rescue ${expected.map((id) => world.names.get(id)).join(" ") || "nothing"}`;
  },

  reset: (): Step => async (model, world) => {
    const dead = [...model.jobs.values()].filter(({ status }) => status === "error").map(({ id }) => id);
    const answer = await test.pool.query("update outbox set status = 'pending' where status = 'error'").then(({ rowCount }) => `${rowCount} jobs`, (error: unknown) => String(error));
    if (model.reset()) {
      expect(answer).toBe(`${dead.length} jobs`);
      for (const id of dead) world.ended.delete(id);
    } else expect(answer).toContain("holds its dedupe key");
    return `reset ${dead.map((id) => world.names.get(id)).join(" ") || "nothing"} by hand: ${answer}`;
  },

  /** Cancelled, or taken away from a worker, by SQL. */
  byHand:
    (nth: number, from: "pending" | "processing", to: "cancelled" | "pending"): Step =>
    async (model, world) => {
      const some = [...model.jobs.values()].filter(({ status }) => status === from);
      const job = some[nth % Math.max(some.length, 1)];
      if (job === undefined || from === to) return "nothing by hand";
      await test.pool.query("update outbox set status = $2 where id = $1", [job.id, to]);
      Object.assign(job, { status: to, takenByHand: true });
      return `${world.names.get(job.id)} is ${from} and set to ${to} by hand`;
    },

  prune: (): Step => async (model, world) => {
    const pruned = await pruneFinished(test.database, { done: 0, cancelled: 0, dead: 0 }, { withSlots: false, pause: 0 });
    const gone = model.prune();
    for (const id of gone) world.ended.delete(id);
    await test.pool.query("delete from effects where job = any ($1)", [gone]);
    expect(pruned.done + pruned.cancelled + pruned.dead).toBe(gone.length);
    return `prune ${gone.map((id) => world.names.get(id)).join(" ") || "nothing"}`;
  },

  wait: (): Step => async (model) => {
    await test.pool.query("update outbox set run_at = run_at - interval '2 h' where run_at > clock_timestamp()");
    await test.pool.query("update outbox set dedupe_until = dedupe_until - interval '2 h' where dedupe_until < '9999-01-01Z'");
    model.wait();
    return "two hours pass";
  },
};

/** One step as fast-check takes it; once it has run it says what it did. */
function command(name: string, step: Step): fc.AsyncCommand<Model, World> {
  let told = name;
  return {
    check: () => true,
    run: async (model, world) => {
      told = await step(model, world).catch((error: unknown) => {
        world.story.push(`${name}, which failed`);
        throw error;
      });
      world.story.push(told);
      await agree(model, world);
    },
    toString: () => told,
  };
}

const hand = fc.constantFrom(0 as const, 1 as const);
const nth = fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(30) });
const outcome = fc.constantFrom<ModelOutcome>("done", "retried", "retried", "retried later", "dead", "released");
const made = (weight: number, name: string, step: fc.Arbitrary<Step>) => Array.from({ length: weight }, () => step.map((each) => command(name, each)));

const histories = fc.commands(
  [
    ...made(6, "enqueue", fc.tuple(fc.constantFrom("alpha" as const, "beta" as const), fc.constantFrom(0, 10), fc.option(fc.constantFrom("soon" as const, "open" as const, "ever" as const), { freq: 2 }), fc.nat(3).map((n) => n === 0), fc.integer({ min: 1, max: 3 }), fc.nat(5).map((n) => n > 0)).map((all) => steps.enqueue(...all))),
    ...made(7, "exchange", fc.tuple(hand, fc.integer({ min: 1, max: 4 }), fc.constantFrom("beginning" as const, "cursors" as const), fc.array(fc.record({ nth }), { maxLength: 4 }), fc.nat(7).map((n) => n === 0)).map((all) => steps.exchange(...all))),
    ...made(4, "settle", fc.tuple(fc.array(fc.record({ nth, outcome }), { minLength: 1, maxLength: 4 }), fc.nat(2).map((n) => n === 0)).map((all) => steps.settle(...all))),
    ...made(1, "complete", fc.tuple(nth, fc.nat(3).map((n) => n === 0)).map((all) => steps.complete(...all))),
    ...made(2, "claim a suspect", hand.map((which) => steps.claimSuspect(which))),
    ...made(1, "beat", hand.map((which) => steps.beat(which))),
    ...made(2, "fall silent", hand.map((which) => steps.silence(which))),
    ...made(2, "rescue", fc.option(hand).map((which) => steps.rescue(which ?? undefined))),
    ...made(1, "give back doubtful claims", fc.constant(steps.giveBackDoubts())),
    ...made(1, "reset by hand", fc.constant(steps.reset())),
    ...made(1, "set by hand", fc.tuple(fc.nat(9), fc.constantFrom("pending" as const, "processing" as const), fc.constantFrom("cancelled" as const, "pending" as const)).map((all) => steps.byHand(...all))),
    ...made(1, "prune", fc.constant(steps.prune())),
    ...made(1, "wait", fc.constant(steps.wait())),
  ],
  { maxCommands: 60, size: "max" },
);

/** Once the faults have stopped, everything comes to an end: I1 and I7. */
async function drainAll(model: Model, world: World): Promise<void> {
  const run = async (step: Step) => command("the end", step).run(model, world);
  await run(steps.wait());
  await run(steps.giveBackDoubts());
  for (const which of [0, 1] as const) await run(steps.silence(which));
  await run(steps.rescue());
  await run(steps.beat(0));
  const claims = (left: string) => [...model.jobs.values()].some(({ status, suspect }) => status === "pending" && suspect === (left === "suspects"));
  for (let round = 0; claims("suspects") && round < 100; round += 1) {
    await run(steps.claimSuspect(0));
    await run(steps.settle([{ nth: 0, outcome: "done" }], false));
  }
  for (let round = 0; claims("others") && round < 100; round += 1) {
    await run(steps.exchange(0, 4, "beginning", [0, 1, 2, 3].map((n) => ({ nth: n })), false));
  }
  await run(steps.exchange(0, 4, "beginning", [0, 1, 2, 3].map((n) => ({ nth: n })), false));
  expect([...model.jobs.values()].filter(({ status }) => status === "pending" || status === "processing")).toEqual([]);
}

it("whatever happens in whatever order, the table is as the model says, and everything comes to an end", async () => {
  let runs = 0;
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const model = createModel();
      const world = await newWorld(model);
      try {
        await fc.asyncModelRun(() => ({ model, real: world }), history);
        await drainAll(model, world);
      } catch (error) {
        throw new Error(`${world.story.map((line, index) => `${index + 1}. ${line}`).join("\n")}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      runs += 1;
      taken += world.story.length;
    }),
    { seed: propertySeed, numRuns: 1_000_000, interruptAfterTimeLimit: searchMs, markInterruptAsFailure: false },
  );
  console.log(`engine model: ${runs} histories, ${taken} steps; PROPERTY_SEED=${propertySeed}`);
  expect(runs).toBeGreaterThan(0);
}, searchMs * 2 + 60_000);
