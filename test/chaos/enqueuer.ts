// The app of a chaos run: transactions that enqueue jobs beside a row in `orders`, some of them rolled back. It remembers
// what it did, and what it was told, for the verdict.

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { EnqueueOptions, JobRequest, Outbox } from "../../src/index.ts";
import { defineJob } from "../../src/index.ts";
import type { Plan, PlannedJob, PlannedTransaction } from "./plan.ts";

export interface Enqueue {
  readonly job: PlannedJob;
  readonly enqueuer: number;
  /** Its own, or that of the job that has its dedupe key. */
  readonly id: string;
  readonly deduplicated: boolean;
  /** "unknown": the answer to the commit was lost. */
  readonly fate: "committed" | "rolled back" | "unknown";
}

const contracts = { effect: defineJob({ type: "effect" }), "other-effect": defineJob({ type: "other-effect" }) };
const answerMs = 15_000;
const pauseMs = 50;
const savepoint = "undone";

/** Carries out all transactions, each at its time, and comes back when the last has ended. What fails before its commit is done again. */
export async function enqueueAll(plan: Plan, outbox: Outbox, url: string, startedAt: number, giveUp: AbortSignal): Promise<Enqueue[]> {
  const enqueuers = [...new Set(plan.transactions.map(({ enqueuer }) => enqueuer))];
  const all = await Promise.all(enqueuers.map((enqueuer) => enqueueInTurn(plan.transactions.filter((transaction) => transaction.enqueuer === enqueuer), outbox, url, startedAt, giveUp)));
  return all.flat();
}

async function enqueueInTurn(transactions: readonly PlannedTransaction[], outbox: Outbox, url: string, startedAt: number, giveUp: AbortSignal): Promise<Enqueue[]> {
  const told: Enqueue[] = [];
  let client: pg.Client | null = null;
  for (const transaction of transactions) {
    await sleep(Math.max(0, startedAt + transaction.atMs - performance.now()), undefined, { signal: giveUp });
    for (let ended = false; !ended; ) {
      giveUp.throwIfAborted();
      try {
        client ??= await connected(url);
        ended = await carryOut(transaction, outbox, client, told);
      } catch (error) {
        if (error instanceof pg.DatabaseError && error.code === "40P01") throw new Error(`an enqueue ran into a deadlock: ${error.detail ?? error.message}`, { cause: error });
      }
      if (ended) continue;
      client?.connection.stream.destroy();
      client = null;
      await sleep(pauseMs);
    }
  }
  client?.connection.stream.destroy(); // a farewell could wait for a database that does not answer
  return told;
}

/** False: it has not come to its commit. */
async function carryOut(transaction: PlannedTransaction, outbox: Outbox, client: pg.Client, told: Enqueue[]): Promise<boolean> {
  const { enqueuer, undone, jobs, openMs, ends } = transaction;
  const begun: Omit<Enqueue, "fate">[] = [];
  const kept: typeof begun = [];
  try {
    await client.query("begin");
    if (undone.length > 0) {
      await client.query(`savepoint ${savepoint}`);
      begun.push(...(await enqueue(outbox, client, enqueuer, undone)));
      await client.query(`rollback to ${savepoint}`);
    }
    kept.push(...(await enqueue(outbox, client, enqueuer, jobs)));
    await sleep(openMs);
  } catch (error) {
    told.push(...[...begun, ...kept].map((one) => ({ ...one, fate: "rolled back" as const })));
    throw error;
  }
  told.push(...begun.map((one) => ({ ...one, fate: "rolled back" as const })));
  const fate = await client.query(ends).then(() => (ends === "commit" ? "committed" : "rolled back"), () => (ends === "commit" ? "unknown" : "rolled back"));
  told.push(...kept.map((one) => ({ ...one, fate }) as const));
  return true;
}

async function enqueue(outbox: Outbox, client: pg.Client, enqueuer: number, jobs: readonly PlannedJob[]): Promise<Omit<Enqueue, "fate">[]> {
  const requests = jobs.map(requestOf);
  const [first] = requests;
  const answers = first === undefined ? [] : requests.length === 1 ? [await outbox.enqueue(client, first.contract, first.payload, first.options)] : await outbox.enqueueMany(client, requests);
  const stored = answers.filter(({ deduplicated }) => !deduplicated).map(({ id }) => id);
  await client.query("insert into orders select distinct unnest($1::uuid[])", [stored]);
  return answers.map(({ id, deduplicated }, index) => ({ job: jobs[index]!, enqueuer, id, deduplicated }));
}

function requestOf({ type, then, ms, attempt, maxAttempts, priority, delayMs, orderingKey, dedupeKey }: PlannedJob): JobRequest {
  const options: EnqueueOptions = {
    maxAttempts,
    priority,
    ...(delayMs > 0 ? { delay: delayMs } : {}),
    ...(orderingKey === undefined ? {} : { orderingKey }),
    ...(dedupeKey === undefined ? {} : { dedupeKey, dedupeFor: "forever" }),
  };
  return contracts[type].job({ then, ...(ms === undefined ? {} : { ms }), ...(attempt === undefined ? {} : { attempt }) }, options);
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: "enqueuer", connectionTimeoutMillis: answerMs, query_timeout: answerMs });
  client.on("error", () => undefined); // its next statement fails, and is dealt with then
  await client.connect();
  return client;
}
