// One timed drain: fresh database, warmed up, preloaded, drained by a process that does nothing else, and checked.
// Every row about rates is made of these.

import pg from "pg";
import type { Variant } from "../contenders/contender.ts";
import type { Operations } from "../operations.ts";
import type { Remote } from "../process.ts";
import type { Bench } from "../row.ts";
import type { Server } from "../server.ts";

export interface DrainRun {
  readonly jobs: number;
  readonly payloadBytes?: number;
  readonly handlerMs?: number;
  /** Jobs are given this many ordering keys in turn. */
  readonly keys?: number;
  /** Whether the rate of the last fifth is of interest; it needs many more jobs than a batch has. */
  readonly lastFifth?: boolean;
  /** Another session holds a snapshot open from before the first claim. */
  readonly snapshotHeld?: boolean;
}

const warmUpJobs = 2000;
const stepTimeoutMs = 900_000;

/** The figures that the tables show, the rate first. */
export async function drainOnce(bench: Bench, variant: Variant, run: DrainRun): Promise<Record<string, number>> {
  const { server } = bench;
  const url = await server.createDatabase(`drain ${variant.contender}`);
  const processes: Remote<Operations>[] = [];
  const start = async () => {
    const started = await bench.start(variant.contender, url);
    processes.push(started);
    return started;
  };
  let release: () => Promise<void> = () => Promise.resolve();
  try {
    const producer = await start();
    await producer.ask("setup", { doorbell: false }, stepTimeoutMs);
    await producer.ask("preload", { jobs: warmUpJobs, from: 0, payloadBytes: 0, keys: null }, stepTimeoutMs);
    const consumer = await start();
    await consumer.ask("open", { settings: variant.settings }, stepTimeoutMs);
    await consumer.ask("drain", { settings: variant.settings, jobs: warmUpJobs, from: 0, handlerMs: 0 }, stepTimeoutMs);
    await producer.ask("preload", { jobs: run.jobs, from: warmUpJobs, payloadBytes: run.payloadBytes ?? 0, keys: run.keys ?? null }, stepTimeoutMs);
    await producer.close();
    await settle(url);
    if (run.snapshotHeld === true) release = await holdSnapshot(url);
    return await timedDrain(server, consumer, variant, { jobs: run.jobs, from: warmUpJobs, handlerMs: run.handlerMs ?? 0, doneBefore: warmUpJobs, lastFifth: run.lastFifth ?? false });
  } finally {
    await release();
    await Promise.all(processes.map((each) => each.close()));
    await server.dropDatabase(url);
  }
}

export interface TimedDrain {
  readonly jobs: number;
  readonly from: number;
  readonly handlerMs: number;
  /** Rows that were done before, for the check. */
  readonly doneBefore: number;
  readonly lastFifth: boolean;
}

/** Drains and checks: every job handled exactly once, stored as done, and none needed a second attempt. */
export async function timedDrain(server: Server, consumer: Remote<Operations>, variant: Variant, { jobs, from, handlerMs, doneBefore, lastFifth }: TimedDrain): Promise<Record<string, number>> {
  const cpuBefore = await server.cpuMs();
  const figures = await consumer.ask("drain", { settings: variant.settings, jobs, from, handlerMs }, stepTimeoutMs);
  const cpuAfter = await server.cpuMs();
  const counts = await consumer.ask("counts", {}, stepTimeoutMs);
  const expected = { handled: jobs, repeated: 0, unfinished: 0, done: counts.done === null ? null : doneBefore + jobs };
  const got = { handled: figures.handled, repeated: figures.repeated + counts.repeated, unfinished: counts.unfinished, done: counts.done };
  if (JSON.stringify(got) !== JSON.stringify(expected)) throw new Error(`Expected ${JSON.stringify(expected)} after the drain, got ${JSON.stringify(got)}.`);
  return {
    "jobs/s": (jobs / figures.ms) * 1000,
    ...(lastFifth ? { "jobs/s, last fifth": rateOfLastFifth(figures.marks, jobs) } : {}),
    "µs of client CPU a job": (figures.cpuMs * 1000) / jobs,
    ...(cpuBefore === null || cpuAfter === null ? {} : { "µs of server CPU a job": ((cpuAfter - cpuBefore) * 1000) / jobs }),
    "peak RSS, MB": figures.peakRssMb,
  };
}

/** From when four fifths had been handled to when the last one had. */
function rateOfLastFifth(marks: readonly number[], jobs: number): number {
  const fourFifths = marks[Math.ceil(marks.length * 0.8) - 1] ?? Number.NaN;
  const end = marks.at(-1) ?? Number.NaN;
  return (jobs / 5 / (end - fourFifths)) * 1000;
}

/** The same for all: fresh statistics, and no checkpoint left over from the preload. */
export async function settle(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query("analyze");
    await client.query("checkpoint");
  });
}

/** A session that has read something and stays idle in its transaction: vacuum may remove nothing that died since. */
export async function holdSnapshot(url: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined); // the database may be dropped under it
  await client.connect();
  await client.query("begin isolation level repeatable read");
  await client.query("select count(*) from pg_class");
  return () => client.end().catch(() => undefined);
}

export async function withClient<Value>(url: string, work: (client: pg.Client) => Promise<Value>): Promise<Value> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
