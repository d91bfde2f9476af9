// What a test expects of the code that enqueues: that a job is there, or that none is. Read inside the test's own
// transaction, it sees what has not been committed.

import { inspect } from "node:util";
import type { AnyTransaction, Row, Sql } from "../outbox/database.ts";
import { sqlOf } from "../outbox/database.ts";
import type { Contract } from "../outbox/define.ts";
import type { Duration } from "../outbox/duration.ts";
import { durationMs } from "../outbox/duration.ts";
import type { EnqueueOptions } from "../outbox/enqueue.ts";
import { namedPriorities } from "../outbox/enqueue.ts";
import type { Status } from "../outbox/job.ts";
import type { PartOf } from "./match.ts";
import { differenceOf } from "./match.ts";
import type { StoredJob } from "./stored-jobs.ts";
import { shownJob, storedJobs } from "./stored-jobs.ts";
import type { TestOutbox } from "./test-outbox.ts";

/**
 * Where to look: a transaction, which sees its own jobs before they are committed, in any shape that `enqueue` takes; or
 * what sees committed ones only: a test outbox, a Prisma client, a pg pool or client.
 */
export type JobSource =
  | TestOutbox
  | AnyTransaction
  | { $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown> }
  | { query(text: string, values: unknown[]): Promise<{ rows: Row[] } | Row[]> };

/** What was given to `enqueue`, as far as it is of interest. */
export type ExpectedOptions = Pick<EnqueueOptions, "priority" | "runAt" | "maxAttempts" | "owner" | "orderingKey" | "dedupeKey"> & {
  /** Between being enqueued and being due; to within a second. */
  delay?: Duration;
};

export interface Expectation<Input> {
  /** Part of the payload as it is stored (the schema's input, as JSON), or a function that says whether it fits. */
  readonly payload?: PartOf<Input> | ((payload: Input) => boolean);
  readonly options?: ExpectedOptions;
  /** Default: any; what was enqueued may have run since. */
  readonly status?: Status;
}

/**
 * Gives back the oldest job that fits; throws when there is none, with those that there are and why they do not fit.
 * `count`: exactly so many fit.
 */
export async function expectEnqueued<Input, Output>(
  source: JobSource,
  contract: Contract<Input, Output>,
  expectation: Expectation<NoInfer<Input>> & { readonly count?: number } = {},
): Promise<StoredJob<Input>> {
  const { jobs, fitting, misfits } = await look(source, contract, expectation);
  const { count } = expectation;
  const [first] = fitting;
  if (first !== undefined && (count === undefined || count === fitting.length)) return first;
  const wanted = `${count === undefined ? "a job" : `${count} ${count === 1 ? "job" : "jobs"}`} of type "${contract.type}"${asked(expectation)}`;
  if (first !== undefined) throw new Error(`Expected ${wanted}, got ${fitting.length}:\n${list(fitting)}`);
  const others = jobs.filter(({ type }) => type !== contract.type);
  if (jobs.length === 0) throw new Error(`Expected ${wanted}, but there is no job at all. ${hint(source)}`);
  throw new Error(
    `Expected ${wanted}, but no job fits.` +
      (misfits.length === 0 ? "" : ` Of that type there are:\n${misfits.slice(0, maxListed).map(({ job, why }) => `  - ${shownJob(job)}\n    ${why}`).join("\n")}${rest(misfits.length)}`) +
      (others.length === 0 ? "" : `${misfits.length === 0 ? " There are" : "\nOther jobs are"}:\n${list(others)}`),
  );
}

/** Throws when a job fits, with every one that does. */
export async function refuteEnqueued<Input, Output>(source: JobSource, contract: Contract<Input, Output>, expectation: Expectation<NoInfer<Input>> = {}): Promise<void> {
  const { fitting } = await look(source, contract, expectation);
  if (fitting.length > 0) throw new Error(`Expected no job of type "${contract.type}"${asked(expectation)}, got ${fitting.length}:\n${list(fitting)}`);
}

const maxListed = 20;
const delayToleranceMs = 1000;

interface Found<Input> {
  readonly jobs: readonly StoredJob[];
  readonly fitting: readonly StoredJob<Input>[];
  readonly misfits: readonly { readonly job: StoredJob; readonly why: string }[];
}

async function look<Input>(source: JobSource, { type }: { readonly type: string }, expectation: Expectation<Input>): Promise<Found<Input>> {
  const jobs = "drainAll" in source ? await source.jobs() : await storedJobs(readerOf(source));
  // Enqueued under this contract, whose schema they have passed.
  const judged = (jobs.filter((job) => job.type === type) as StoredJob<Input>[]).map((job) => ({ job, why: misfit(job, expectation) }));
  return { jobs, fitting: judged.filter(({ why }) => why === null).map(({ job }) => job), misfits: judged.flatMap(({ job, why }) => (why === null ? [] : [{ job, why }])) };
}

/** To read, what is no transaction will do: so its shape is hidden from `sqlOf`, which refuses a client, for good reasons of its own. */
function readerOf(source: Exclude<JobSource, TestOutbox>): Sql {
  if ("$queryRawUnsafe" in source) return sqlOf({ $queryRawUnsafe: (text: string, ...values: unknown[]) => source.$queryRawUnsafe(text, ...values) });
  if ("query" in source && typeof source.query === "function") return sqlOf({ query: (text: string, values: unknown[]) => source.query(text, values) });
  return sqlOf(source);
}

function misfit<Input>(job: StoredJob<Input>, { payload, options = {}, status }: Expectation<Input>): string | null {
  if (status !== undefined && job.status !== status) return `its status is ${job.status}, expected ${status}`;
  if (typeof payload === "function") {
    // A part of a payload is JSON, so what can be called is the test's function.
    if (!(payload as (payload: Input) => boolean)(job.payload)) return "its payload is refused by the function given";
  } else if (payload !== undefined) {
    const difference = differenceOf(payload, job.payload, "payload");
    if (difference !== null) return difference;
  }
  const { priority, runAt, delay, ...rest } = options;
  if (delay !== undefined) {
    const [wantedMs, gotMs] = [durationMs(delay, "delay"), job.runAt.getTime() - job.createdAt.getTime()];
    if (Math.abs(gotMs - wantedMs) > delayToleranceMs) return `its delay is ${gotMs} ms, expected ${wantedMs}`;
  }
  const wanted = {
    ...rest,
    ...(priority === undefined ? {} : { priority: typeof priority === "string" ? namedPriorities[priority] : priority }),
    ...(runAt === undefined ? {} : { runAt: runAt.toISOString() }),
  };
  return differenceOf(wanted, { ...job, runAt: job.runAt.toISOString() }, "job");
}

function asked<Input>({ payload, options, status }: Expectation<Input>): string {
  const parts = [
    ...(payload === undefined ? [] : [`payload ${typeof payload === "function" ? "that the function accepts" : inspect(payload, { depth: 6, breakLength: Infinity })}`]),
    ...(options === undefined ? [] : [`options ${inspect(options, { breakLength: Infinity })}`]),
    ...(status === undefined ? [] : [`status ${status}`]),
  ];
  return parts.length === 0 ? "" : ` with ${parts.join(" and ")}`;
}

function list(jobs: readonly StoredJob[]): string {
  return jobs.slice(0, maxListed).map((job) => `  - ${shownJob(job)}`).join("\n") + rest(jobs.length);
}

function rest(count: number): string {
  return count > maxListed ? `\n  and ${count - maxListed} more` : "";
}

function hint(source: JobSource): string {
  return "drainAll" in source || "$connect" in source || "totalCount" in source
    ? "What was enqueued in a transaction that is still open can be seen only through that transaction: pass its tx."
    : "Has the code under test been given this transaction?";
}
