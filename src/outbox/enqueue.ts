// How a job comes to be: checked, and inserted by one statement inside the caller's transaction, however many jobs there
// are. Next: store/claim.ts (how a worker takes it).

import type { AnyTransaction, Sql } from "./database.ts";
import { sqlOf } from "./database.ts";
import type { Contract } from "./define.ts";
import { checkMaxAttempts } from "./define.ts";
import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { OutboxError, refuseUnknown, shown } from "./errors.ts";
import { toJson } from "./payload.ts";
import { checkPayload } from "./schema.ts";
import type { NewJob } from "./store/enqueue.ts";
import { findKeyHolders, insertDedupedJobs, insertJobs } from "./store/enqueue.ts";
import { text } from "./text.ts";
import type { Trace, Tracing } from "./tracing.ts";
import { uuid7 } from "./uuid.ts";

export const namedPriorities = { high: 10, normal: 0, low: -10 } as const;

export interface EnqueueOptions {
  /** Greater runs first: "high" is 10, "normal" 0, "low" -10, or a whole number from -32768 to 32767. */
  priority?: keyof typeof namedPriorities | number;
  /** Not before this instant; one in the past means now. */
  runAt?: Date;
  /** Not before this much time has passed, by the database's clock. Not together with `runAt`. */
  delay?: Duration;
  /** Attempts before a failure makes a dead letter. Default: the contract's. */
  maxAttempts?: number;
  /** The user on whose behalf the job is enqueued. */
  owner?: string;
  /**
   * Jobs of one ordering key, whatever their types, run one at a time, in the order in which their transactions
   * committed. Until this transaction has ended, others wait that enqueue for the same key. 1 to 500 characters.
   */
  orderingKey?: string;
  /** While a job of this type holds the key, another with the same key is not stored; its id is given back instead. */
  dedupeKey?: string;
  /** How long the key is held: a time from now, until the job has finished, or for ever. Default: "1h". */
  dedupeFor?: Duration | "until-done" | "forever";
  /** Words to find the job by, such as the name of a customer or of a release. At most 20 of 1 to 100 characters. */
  tags?: readonly string[];
}

const optionNames = ["priority", "runAt", "delay", "maxAttempts", "owner", "orderingKey", "dedupeKey", "dedupeFor", "tags"] satisfies (keyof EnqueueOptions)[];

/** One job for `enqueueMany`, made by `contract.job(payload, options)`. */
export interface JobRequest<Input = unknown, Output = unknown> {
  readonly contract: Contract<Input, Output>;
  readonly payload: Input;
  readonly options: EnqueueOptions;
}

export interface Enqueued {
  /** The id of the job: the new one, or the one that already holds the dedupe key. */
  readonly id: string;
  /** True when the dedupe key was held, so that nothing was stored. */
  readonly deduplicated: boolean;
}

/**
 * Stores jobs inside the caller's transaction, by one statement. It begins at once, before anything is awaited: a
 * forgotten `await` is written by the transaction's next statement or fails loudly, never silently lost.
 */
export function enqueueJobs(tx: AnyTransaction, requests: readonly JobRequest[], tracing: Tracing | null = null): Promise<Enqueued[]> {
  return storeJobs(sqlOf(tx), requests, tracing);
}

/** The same for one job. */
export async function enqueueJob<Input>(tx: AnyTransaction, contract: Contract<Input>, payload: Input, options: EnqueueOptions = {}, tracing: Tracing | null = null): Promise<Enqueued> {
  return theOnly(await enqueueJobs(tx, [jobOf(contract, payload, options)], tracing));
}

/** Throws what an enqueue of the job would refuse; stores nothing. */
export function checkJob(request: JobRequest): void {
  newJob(request, null);
}

/** `contract.job(…)`. From JavaScript the name of a type may come in place of its contract. */
export function jobOf<Input>(contract: Contract<Input>, payload: Input, options: EnqueueOptions = {}): JobRequest {
  const given: unknown = contract;
  if (typeof given === "object" && given !== null && "job" in given) return contract.job(payload, options);
  throw new OutboxError("INVALID_OPTION", `Expected the contract of the job, as defineJob makes it, got ${typeof given === "string" ? JSON.stringify(given) : typeof given}.`);
}

/** The answer for one job that was stored by itself. */
export function theOnly([enqueued]: readonly Enqueued[]): Enqueued {
  if (enqueued === undefined) throw new Error("one job was stored, but no id came back"); // storeJobs answers for each
  return enqueued;
}

/** Stores jobs by `sql`, which commits when it likes; `tracing` has the span around it, if there is to be one. */
export async function storeJobs(sql: Sql, requests: readonly JobRequest[], tracing: Tracing | null = null): Promise<Enqueued[]> {
  for (const request of requests) expectRequest(request);
  if (tracing === null) return storeIn(sql, requests, null);
  return tracing.enqueue(requests.map(({ contract }) => contract.type), (trace) => storeIn(sql, requests, trace));
}

/** From JavaScript a list may hold anything, or nothing at some place. */
function expectRequest(request: unknown): void {
  if (typeof request === "object" && request !== null && "contract" in request) return;
  throw new OutboxError("INVALID_OPTION", `Expected jobs as contract.job(payload, options) makes them, got ${shown(request)}.`);
}

async function storeIn(sql: Sql, requests: readonly JobRequest[], trace: Trace | null): Promise<Enqueued[]> {
  const jobs = requests.map((request) => newJob(request, trace));
  const stored = new Set<string>();
  const holders = new Map<string, string>();
  const isOpen = (job: NewJob) => !stored.has(job.id) && !holders.has(job.id);

  // One round is enough unless a key's holder vanishes between the insert that met it and the look at it.
  for (let round = 0; round < 3 && jobs.some(isOpen); round += 1) {
    const open = jobs.filter(isOpen);
    const deduped = open.filter((job) => job.dedupe_key !== null);
    const sent = firstOfEachKey(open).sort(inOrderOfLocks);
    for (const id of await (deduped.length > 0 ? insertDedupedJobs : insertJobs)(sql, sent)) stored.add(id);
    const refused = deduped.filter(isOpen);
    if (refused.length === 0) continue;
    for (const { wanted, holder } of await findKeyHolders(sql, refused)) holders.set(wanted, holder);
  }
  return jobs.map((job) => {
    const holder = holders.get(job.id);
    if (holder !== undefined) return { id: holder, deduplicated: true };
    if (stored.has(job.id)) return { id: job.id, deduplicated: false };
    throw new OutboxError("INVALID_OPTION", `The dedupe key ${JSON.stringify(job.dedupe_key)} of "${job.type}" changed hands three times while it was asked for. Try again.`);
  });
}

function firstOfEachKey(jobs: readonly NewJob[]): NewJob[] {
  const seen = new Set<string>();
  return jobs.filter(({ type, dedupe_key }) => {
    const key = JSON.stringify([type, dedupe_key]);
    return dedupe_key === null || (!seen.has(key) && seen.add(key));
  });
}

/**
 * What two calls lock, they lock in the same order, so that they wait for each other but never both ways. Jobs of one
 * ordering key stay as they were given, and so do jobs without any key.
 */
function inOrderOfLocks(one: NewJob, other: NewJob): number {
  const byOrderingKey = compare(one.ordering_key, other.ordering_key);
  if (byOrderingKey !== 0 || one.ordering_key !== null) return byOrderingKey;
  return compare(one.dedupe_key, other.dedupe_key) || (one.dedupe_key === null ? 0 : compare(one.type, other.type));
}

function compare(one: string | null, other: string | null): number {
  if (one === other) return 0;
  if (one === null || other === null) return one === null ? -1 : 1;
  return one < other ? -1 : 1;
}

function newJob({ contract, payload, options }: JobRequest, trace: Trace | null): NewJob {
  const { type } = contract;
  refuseUnknown(`the options of "${type}"`, options, optionNames);
  checkPayload(contract, payload);
  const orderingKey = options.orderingKey === undefined ? null : text(`orderingKey of "${type}"`, options.orderingKey);
  const dedupeKey = options.dedupeKey === undefined ? null : text(`dedupeKey of "${type}"`, options.dedupeKey);
  return {
    payload: toJson(type, payload),
    id: uuid7(),
    type,
    priority: priorityOf(type, options.priority),
    max_attempts: checkMaxAttempts(type, options.maxAttempts === undefined ? contract.maxAttempts : options.maxAttempts),
    owner: options.owner === undefined ? null : text(`owner of "${type}"`, options.owner),
    ...dueOf(type, options),
    concurrency_key: concurrencyKeyOf(contract, payload),
    ordering_key: orderingKey,
    block_on_dead: orderingKey !== null && contract.onDead === "block" ? true : null,
    dedupe_key: dedupeKey,
    dedupe_ms: dedupeKey === null ? null : dedupeMs(options.dedupeFor),
    version: contract.version === 1 ? null : contract.version,
    tags: tagsOf(type, options.tags),
    traceparent: trace === null ? null : trace.traceparent,
    tracestate: trace === null ? null : trace.tracestate,
  };
}

function priorityOf(type: string, priority: EnqueueOptions["priority"] = "normal"): number {
  const value: unknown = typeof priority === "string" ? namedPriorities[priority] : priority;
  if (typeof value === "number" && Number.isInteger(value) && value >= -32_768 && value <= 32_767) return value;
  throw new OutboxError("INVALID_OPTION", `Expected priority of "${type}" to be "high", "normal", "low" or a whole number from -32768 to 32767, got ${shown(priority)}.`);
}

function dueOf(type: string, { runAt, delay }: EnqueueOptions): { run_at: string | null; delay_ms: number | null } {
  if (runAt !== undefined && delay !== undefined) {
    throw new OutboxError("INVALID_OPTION", `Expected either runAt or delay for "${type}", got both.`);
  }
  if (runAt !== undefined && !isStorable(runAt)) throw new OutboxError("INVALID_OPTION", `Expected runAt of "${type}" to be a valid Date of the years 1 to 9999, got ${shown(runAt)}.`);
  return { run_at: runAt?.toISOString() ?? null, delay_ms: delay === undefined ? null : durationMs(delay, `the delay of "${type}"`) };
}

/** Postgres has no year 0, and ISO 8601 writes no year after 9999 with four digits. */
function isStorable(at: unknown): boolean {
  return at instanceof Date && at.getTime() >= Date.parse("0001-01-01T00:00:00Z") && at.getTime() <= Date.parse("9999-12-31T23:59:59.999Z");
}

const maxTags = 20;

/** As Postgres writes an array; null without any. */
function tagsOf(type: string, tags: unknown = []): string | null {
  if (!Array.isArray(tags) || tags.length > maxTags) throw new OutboxError("INVALID_OPTION", `Expected tags of "${type}" to be a list of at most ${maxTags} texts, got ${Array.isArray(tags) ? `${tags.length} of them` : shown(tags)}.`);
  const texts = Array.from<unknown, string>(tags, (tag, index) => text(`tags[${index}] of "${type}"`, tag, 100));
  return texts.length === 0 ? null : `{${[...new Set(texts)].map((tag) => `"${tag.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

function concurrencyKeyOf(contract: Contract, payload: unknown): string | null {
  const { type } = contract;
  if (contract.concurrency?.byKey !== true) return null;
  let key: unknown;
  try {
    key = contract.concurrencyKey(payload);
  } catch (cause) {
    throw new OutboxError("INVALID_PAYLOAD", `Job "${type}" was refused: expected the key function of its concurrency to make a text of the payload, but it threw ${String(cause)}.`, { cause });
  }
  return text(`the concurrency key of "${type}"`, key);
}

/** Null: until the job has finished; -1: for ever. */
function dedupeMs(dedupeFor: EnqueueOptions["dedupeFor"] = "1h"): number | null {
  if (dedupeFor === "until-done") return null;
  return dedupeFor === "forever" ? -1 : durationMs(dedupeFor, "dedupeFor");
}
