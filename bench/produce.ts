// The loops that enqueue, the same for every contender.

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { Contender, Payload, Settings } from "./contenders/contender.ts";
import { monotonicMs } from "./measure.ts";
import type { EnqueueTimes, Operations } from "./operations.ts";

type Arg<Name extends keyof Operations> = Parameters<Operations[Name]>[0];

const preloadBatch = 1000;

export async function preload(contender: Contender<Settings>, { jobs, from, payloadBytes, keys }: Arg<"preload">): Promise<void> {
  for (let first = 0; first < jobs; first += preloadBatch) {
    const payloads = Array.from({ length: Math.min(preloadBatch, jobs - first) }, (_, nth) => payload(from + first + nth, payloadBytes));
    await contender.enqueueMany(payloads, keys === null ? {} : { keys });
  }
}

function payload(n: number, bytes: number): Payload {
  // Text that does not compress, as a document or a token would not.
  return bytes === 0 ? { n } : { n, text: randomBytes(Math.ceil((bytes * 3) / 4)).toString("base64").slice(0, bytes) };
}

export async function enqueueOneByOne(contender: Contender<Settings>, { jobs, from }: Arg<"enqueueOneByOne">): Promise<EnqueueTimes[]> {
  const times: EnqueueTimes[] = [];
  for (let n = from; n < from + jobs; n += 1) {
    await pause(5 + Math.random() * 10);
    const calledAt = monotonicMs();
    await contender.enqueue({ n });
    times.push({ n, calledAt, commitSentAt: calledAt, committedAt: monotonicMs() });
  }
  return times;
}

/** Transactions begin at a steady rate, each as soon as its time has come and a client is free. */
export async function enqueueInOpenTransactions(contender: Contender<Settings>, url: string, options: Arg<"enqueueInOpenTransactions">): Promise<EnqueueTimes[]> {
  const { clients, jobsPerSecond, seconds, jobsPerTransaction, from } = options;
  const transactions = Math.ceil((jobsPerSecond * seconds) / jobsPerTransaction);
  const gapMs = 1000 / (jobsPerSecond / jobsPerTransaction);
  const times: EnqueueTimes[] = [];
  const startedAt = monotonicMs();
  let next = 0;
  await withClients(url, clients, async (client) => {
    for (let nth = next++; nth < transactions; nth = next++) {
      await pause(Math.max(0, startedAt + nth * gapMs - monotonicMs()));
      await client.query("begin");
      const calledAt = monotonicMs();
      const numbers = Array.from({ length: jobsPerTransaction }, (_, each) => from + nth * jobsPerTransaction + each);
      for (const n of numbers) await contender.enqueueIn(client, { n });
      await pause(20 + Math.random() * 30);
      const commitSentAt = monotonicMs();
      await client.query("commit");
      const committedAt = monotonicMs();
      for (const n of numbers) times.push({ n, calledAt, commitSentAt, committedAt });
    }
  });
  return times;
}

export async function enqueueBatches(contender: Contender<Settings>, { size, calls, warmUpCalls }: Arg<"enqueueBatches">): Promise<{ ms: number }> {
  const batch = (nth: number) => Array.from({ length: size }, (_, each) => ({ n: nth * size + each }));
  for (let call = 0; call < warmUpCalls; call += 1) await contender.enqueueMany(batch(call), {});
  const startedAt = monotonicMs();
  for (let call = 0; call < calls; call += 1) await contender.enqueueMany(batch(warmUpCalls + call), {});
  return { ms: monotonicMs() - startedAt };
}

export async function commitOneEach(contender: Contender<Settings>, url: string, { clients, seconds, from }: Arg<"commitOneEach">): Promise<{ commits: number; ms: number }> {
  let commits = 0;
  let startedAt = Number.NaN;
  await withClients(url, clients, async (client) => {
    startedAt = Number.isNaN(startedAt) ? monotonicMs() : startedAt;
    while (monotonicMs() - startedAt < seconds * 1000) {
      await client.query("begin");
      await contender.enqueueIn(client, { n: from + commits });
      await client.query("commit");
      commits += 1;
    }
  });
  return { commits, ms: monotonicMs() - startedAt };
}

async function withClients(url: string, count: number, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  try {
    await Promise.all(clients.map(work));
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}
