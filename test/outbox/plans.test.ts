// What the engine's statements cost does not depend on what the planner believes about the table: with statistics from
// another time they go through the same indexes and read as little. Measured as buffers, which no busy machine changes.

import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { defineJob, handle } from "../../src/index.ts";
import type { Database, Sql } from "../../src/outbox/database.ts";
import type { Lease } from "../../src/outbox/job.ts";
import { createLanes } from "../../src/outbox/lanes.ts";
import { look } from "../../src/outbox/look.ts";
import { outboxOver } from "../../src/outbox/outbox.ts";
import { claimSuspect, unclaim } from "../../src/outbox/store/claim.ts";
import type { Cursor, Lane } from "../../src/outbox/store/exchange.ts";
import { exchange } from "../../src/outbox/store/exchange.ts";
import type { Settlement } from "../../src/outbox/store/settle.ts";
import { findSettled, settleJobs } from "../../src/outbox/store/settle.ts";
import { registerWorker, rescueJobs } from "../../src/outbox/store/workers.ts";
import { postgres } from "../../src/service/database.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

const types = ["work", "other", "rare"];
const beginning: Cursor = { runAt: "-infinity", id: "00000000-0000-0000-0000-000000000000" };
const everyLane = [10, 0].flatMap((priority) => types.map((type) => ({ type, priority, from: beginning })));

/**
 * Buffers, at most, and the indexes of the table outbox through which they may be read. Measured for the six lanes of
 * this test: a claim of 1: 18 to 43, of 20: 250 to 295; settling 20 and claiming 20: 550 to 660; settling 20 with their
 * ledger: 340 to 380; a look: 27 to 105. Most of it is the writing of rows and index entries.
 */
const allowed: Record<string, { readonly buffers: number; readonly through: readonly string[] }> = {
  "claim 1": { buffers: 60, through: ["outbox_lanes", "outbox_pkey", "Tid Scan"] },
  "claim 20": { buffers: 60 + 20 * 15, through: ["outbox_lanes", "outbox_pkey", "Tid Scan"] },
  "settle 20 and claim 20": { buffers: 60 + 20 * 40, through: ["outbox_lanes", "outbox_pkey", "Tid Scan"] },
  "settle 1 and claim none": { buffers: 40, through: ["outbox_lanes", "outbox_pkey", "Tid Scan"] },
  "settle 20 by themselves": { buffers: 40 + 20 * 25, through: ["outbox_pkey"] },
  "ask whether 20 were settled": { buffers: 40 + 20 * 10, through: ["outbox_pkey"] },
  "claim a suspect": { buffers: 30, through: ["outbox_suspects", "Tid Scan"] },
  // Both walk over the dead entries of the 41 jobs that were running a moment ago.
  "give back a claim": { buffers: 60, through: ["outbox_processing"] },
  rescue: { buffers: 60, through: ["outbox_processing", "Tid Scan"] },
  "look from the marks": { buffers: 150, through: ["outbox_lanes", "outbox_suspects", "outbox_processing"] },
  "look from the beginning": { buffers: 150, through: ["outbox_lanes", "outbox_suspects", "outbox_processing"] },
};

interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
  readonly Plans?: readonly Plan[];
}

interface Cost {
  readonly buffers: number;
  /** How the table outbox was read: the names of indexes, or the kind of scan. */
  readonly through: readonly string[];
}

/** Statements over one connection, each carried out under `explain` as a prepared one; its answer is empty. */
interface Explained extends Sql {
  last(): Cost;
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

function costOf(plan: Plan): Cost {
  const scans = nodes(plan).filter((node) => node["Node Type"] !== "ModifyTable" && node["Node Type"] !== "Bitmap Heap Scan");
  const ours = scans.filter((node) => node["Relation Name"] === "outbox" || (node["Relation Name"] === undefined && node["Index Name"] !== undefined));
  return {
    buffers: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
    through: [...new Set(ours.map((node) => node["Index Name"] ?? node["Node Type"]))].sort(),
  };
}

type Value = string | number | boolean | null | readonly Value[];
function literal(value: Value): string {
  if (value === null) return "null";
  return pg.escapeLiteral(typeof value === "object" ? `{${value.map((each) => (each === null ? "null" : JSON.stringify(String(each)))).join(",")}}` : String(value));
}

function explained(database: Database): Explained {
  const names = new Map<string, string>();
  let last: Cost = { buffers: 0, through: [] };
  return {
    last: () => last,
    async query(text, values = []) {
      // The statements of the store have no other values.
      const name = names.get(text) ?? `explained_${names.size + 1}`;
      if (!names.has(text)) await database.query(`prepare ${name} as ${text}`);
      names.set(text, name);
      const [row] = await database.query(`explain (analyze, buffers, format json) execute ${name}${values.length > 0 ? `(${(values as Value[]).map(literal).join(", ")})` : ""}`);
      const [{ Plan: plan }] = row?.["QUERY PLAN"] as [{ Plan: Plan }]; // what explain answers in this format
      last = costOf(plan);
      return [];
    },
  };
}

let test: TestOutbox;
let worker: string;
let token = 0;
const opened: Database[] = [];
/** Its plans were made, and kept, while the table was empty. */
let early: Explained;

const next = () => ({ worker, token: (token += 1) });
function connect(query = ""): Database {
  const database = postgres(test.url + query, { maxConnections: 1 });
  opened.push(database);
  return database;
}
/** As behind PgBouncer: no settings of the session, and each statement planned for its values. */
async function pooled(): Promise<Explained> {
  const database = connect("?pgbouncer=true");
  await database.query("set plan_cache_mode = force_custom_plan");
  return explained(database);
}

beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query("alter table outbox set (autovacuum_enabled = off)");
  worker = randomUUID();
  await registerWorker(test.database, { id: worker, host: "h", pid: 1, version: "test", types, versions: [], leaseMs: 3_600_000 });
  await test.pool.query("analyze outbox");
  early = explained(connect());
  await measure(early);
});
afterAll(async () => {
  for (const database of opened) await database.close();
  await test.close();
});

async function fill(count: number, status: "done" | "pending"): Promise<void> {
  await test.pool.query(
    `insert into outbox (type, payload, priority, status, run_at, finished_at, attempts)
     select ($3::text[])[case when n % 100 = 0 then 3 else 1 + n % 2 end], '{"n":1}', case when n % 5 = 0 then 10 else 0 end, $2,
       now() - interval '1 h' + n * interval '1 ms', case when $2 = 'done' then now() end, case when $2 = 'done' then 1 else 0 end
     from generate_series(1, $1) as n`,
    [count, status, types],
  );
}
const finishAll = (except: string) => test.pool.query(`update outbox set status = 'done', attempts = 1, finished_at = now() where status = 'pending' and not (${except})`);

/** What a claim has taken, whose answer was its plan. */
async function leasesOf(claim: { token: number }): Promise<Lease[]> {
  const { rows } = await test.pool.query<{ id: string }>("select id from outbox where status = 'processing' and locked_by = $1 and lease_token = $2", [worker, claim.token]);
  return rows.map(({ id }) => ({ jobId: id, worker, token: claim.token }));
}

async function claim(sql: Explained, limit: number, done: readonly Lease[] = [], lanes: readonly (Lane & { readonly from: Cursor })[] = everyLane): Promise<Cost & { leases: Lease[] }> {
  const as = next();
  await exchange(sql, as, done.map((lease) => ({ lease, result: null })), lanes, limit);
  const leases = await leasesOf(as);
  expect(leases.length, "never more than the limit").toBeLessThanOrEqual(limit);
  return { ...sql.last(), leases };
}

/** Carries out every statement of a worker's day once. */
async function measure(sql: Explained): Promise<Record<string, Cost>> {
  const costs: Record<string, Cost> = {};
  const cost = async (name: string, work: () => Promise<unknown>) => {
    await work();
    costs[name] = sql.last();
  };
  const retry = (lease: Lease): Settlement => ({ lease, status: "pending", delayMs: 3_600_000, counted: true, result: null, entry: { outcome: "retried", errorClass: "E", message: "m", stack: null } });
  const lanes = createLanes(() => types);
  lanes.learn(await look(test.database, lanes.question(true)), true);

  const one = (costs["claim 1"] = await claim(sql, 1));
  const twenty = (costs["claim 20"] = await claim(sql, 20));
  const others = (costs["settle 20 and claim 20"] = await claim(sql, 20, twenty.leases));
  costs["settle 1 and claim none"] = await claim(sql, 0, one.leases);
  await cost("settle 20 by themselves", () => settleJobs(sql, others.leases.map(retry)));
  await cost("ask whether 20 were settled", () => findSettled(sql, others.leases.map(retry)));
  await cost("claim a suspect", () => claimSuspect(sql, next(), types));
  await cost("give back a claim", () => unclaim(sql, worker, token));
  await cost("rescue", () => rescueJobs(sql, 100));
  // A look refuses an empty answer.
  await cost("look from the marks", () => look(sql, lanes.question(false)).catch(() => undefined));
  await cost("look from the beginning", () => look(sql, lanes.question(true)).catch(() => undefined));
  return costs;
}

function withinBounds(costs: Record<string, Cost>): void {
  const wrong = Object.entries(costs)
    .filter(([name, { buffers, through }]) => buffers > (allowed[name]?.buffers ?? 0) || through.some((way) => !allowed[name]?.through.includes(way)))
    .map(([name, { buffers, through }]) => `${name}: ${buffers} buffers through ${through.join(", ")}`);
  expect(wrong, "statements that read more, or elsewhere, than they may").toEqual([]);
  expect(Object.keys(costs)).toEqual(Object.keys(allowed));
}

/** No jobs are running, and no dead entries are in the indexes. The statistics stay as they are. */
async function tidy(): Promise<void> {
  await test.pool.query("update outbox set status = 'done', finished_at = now() where status = 'processing'");
  await test.pool.query("vacuum (index_cleanup on) outbox");
}

function onNewConnections(): void {
  it("on a new connection", async () => withinBounds(await measure(explained(connect()))));
  it("behind PgBouncer, planned for each call", async () => withinBounds(await measure(await pooled())));
}

describe("every statement reads little, and through its own indexes, with 200,000 jobs done and 50,000 pending and statistics that say the table is empty", () => {
  beforeAll(async () => {
    await fill(200_000, "done");
    await fill(50_000, "pending");
  });
  it("on a connection whose plans were made when the table was empty", async () => withinBounds(await measure(early)));
  onNewConnections();
});

it("with a snapshot held open, and nothing vacuumed, a claim costs after 20,000 jobs what it cost before", async () => {
  const snapshot = await test.pool.connect();
  await snapshot.query("begin isolation level repeatable read; select from outbox limit 1");
  const lanes = createLanes(() => types);
  lanes.learn(await look(test.database, lanes.question(true)), true);
  const sql = explained(connect());
  const first = await claim(sql, 20, [], lanes.offer(20).lanes);
  for (let batch = 0, done: Lease[] = first.leases; batch < 1000; batch += 1) {
    const offer = lanes.offer(20);
    const { jobs } = await exchange(test.database, next(), done.map((lease) => ({ lease, result: null })), offer.lanes, 20);
    for (const { job, at } of jobs) lanes.advance(offer, job, at);
    expect(jobs).toHaveLength(20);
    done = jobs.map(({ job }) => job.lease);
  }
  const last = await claim(sql, 20, [], lanes.offer(20).lanes);
  // The same from the beginning, to show that the dead entries are there.
  const withoutCursors = await claim(sql, 20);
  await snapshot.query("rollback");
  snapshot.release();
  expect(last.leases).toHaveLength(20);
  expect(last.buffers).toBeLessThanOrEqual(2 * first.buffers);
  expect(withoutCursors.buffers).toBeGreaterThan(2 * first.buffers);
}, 120_000);

describe("the same with a few hundred jobs pending, and statistics from when there were 30,000", () => {
  beforeAll(async () => {
    await test.pool.query("analyze outbox");
    await finishAll("hashtext(id::text) % 50 = 0");
  });
  beforeEach(tidy);
  onNewConnections();
});

describe("the same with 20,000 jobs pending, and statistics from when there were none", () => {
  beforeAll(async () => {
    await finishAll("false");
    await test.pool.query("analyze outbox");
    await fill(20_000, "pending");
  });
  beforeEach(tidy);
  onNewConnections();
});

it("while a backlog lasts there is one statement for each batch, and a look every 200 ms at most", async () => {
  await test.empty();
  await fill(4000, "pending");
  const sent = new Map<string, number>();
  const counting: Database = {
    ...test.database,
    query: (text, values) => {
      sent.set(text, (sent.get(text) ?? 0) + 1);
      return test.database.query(text, values);
    },
  };
  const outbox = outboxOver(counting, { version: "test", emit: () => undefined, compileSchedules });
  const handlers = types.map((type) => handle(defineJob({ type }), () => Promise.resolve()));
  const begun = performance.now();
  expect(await outbox.drain({ handlers, batch: 20, concurrency: 20 })).toMatchObject({ done: 4000 });
  const looks = Math.ceil((performance.now() - begun) / 200);
  const [mostOften = 0, ...others] = [...sent.values()].sort((one, other) => other - one);
  expect(mostOften, "settlements with the next claim").toBeLessThanOrEqual(4000 / 20 + looks + 3);
  // Registering, leaving, the last settlement; the looks at the beginning and the end.
  expect(others.reduce((sum, count) => sum + count, 0), "all other statements").toBeLessThanOrEqual(looks + 10);
}, 60_000);
