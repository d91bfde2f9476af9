// An outbox over a test's own database: what the app's code enqueues is run when the test says so, and time passes when
// the test says so.

import type { InTransaction } from "../outbox/database.ts";
import type { Contract } from "../outbox/define.ts";
import type { Duration } from "../outbox/duration.ts";
import { durationMs } from "../outbox/duration.ts";
import type { Emit } from "../outbox/events.ts";
import { declareSchedules } from "../outbox/fire.ts";
import { outboxOver } from "../outbox/outbox.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import type { Schedule, ScheduleDeclaration } from "../outbox/schedule.ts";
import type { AppOutbox } from "../service/create-outbox.ts";
import { postgres } from "../service/database.ts";
import type { PrismaClientLike } from "../service/prisma-transactions.ts";
import { inPrisma } from "../service/prisma-transactions.ts";
import { prismaExtension } from "../service/prisma-extension.ts";
import { compileSchedules } from "../service/schedules.ts";
import { version } from "../service/version.ts";
import type { DrainAllOptions, DrainAllReport } from "./drain-all.ts";
import { drainAll } from "./drain-all.ts";
import { loadedHandlers } from "./load-handlers.ts";
import { deleteEverything, refuseOthers } from "./own-database.ts";
import { inPassedTime, moveBack } from "./passing-time.ts";
import type { StoredJob } from "./stored-jobs.ts";
import { storedJobs } from "./stored-jobs.ts";

export interface TestOutboxOptions {
  /** postgresql://…: a migrated database that nothing but this test process works on. */
  readonly connection: string;
  /**
   * What drainAll runs: an array, or the path of a folder of handlers, as in outbox.config.ts (one that is not absolute
   * begins at the current directory). All files of a folder are loaded and checked by the first drainAll. Default: none.
   */
  readonly handlers?: readonly HandlerEntry[] | string;
  /** Fired by drainAll. */
  readonly schedules?: readonly ScheduleDeclaration[];
  /** The app's Prisma client, whose transactions handlers are given by ctx.complete. Default: the outbox's own transactions. */
  readonly prisma?: PrismaClientLike;
  /** Told of everything that happens. */
  readonly onEvent?: Emit;
}

/** What createOutbox gives, for the code under test, and what a test needs beside it. */
export interface TestOutbox extends AppOutbox {
  /**
   * Runs everything that is due, and everything that is enqueued by that, until nothing is due. Throws when an attempt
   * failed, when a handler is missing or does not load, when a limit holds jobs back, and when there is no end to it.
   */
  drainAll(options?: DrainAllOptions): Promise<DrainAllReport>;
  /**
   * Lets time pass: jobs that are due within it are due now, retries after their backoff included; dedupe keys, pauses,
   * circuit breakers and rate limits run out; slots of schedules that come within it are fired by the next drainAll, as after
   * a time in which no worker ran (of several, `missed` says which). Not moved are jobs of transactions that are still
   * open, the ids of jobs, which say when they were made and which prune goes by, and the process's own clock.
   */
  advance(time: Duration): Promise<void>;
  /** All jobs, or those of one type, oldest first; committed ones only. */
  jobs(): Promise<StoredJob[]>;
  jobs<Input, Output>(contract: Contract<Input, Output>): Promise<StoredJob<Input>[]>;
  /** Runs `work` in a transaction of its own, for tests without a client of their own: `outbox.transaction((tx) => outbox.enqueue(tx, …))`. */
  readonly transaction: InTransaction;
  /** Deletes all jobs, pauses, limits and schedules, and lets no time have passed. For beforeEach. Tables of handlers (notification, audit_log) are left alone. */
  clear(): Promise<void>;
}

/** Connects when it is first used; to be closed by `close()` in afterAll. */
export function testOutbox({ connection, handlers = [], schedules = [], prisma, onEvent = () => undefined }: TestOutboxOptions): TestOutbox {
  if (typeof connection !== "string" || connection === "") {
    throw new Error(`Expected connection to be the URL of the test's Postgres, got ${typeof connection}. Is DATABASE_URL set for tests?`);
  }
  const listeners = new Set<Emit>([onEvent]);
  const database = postgres(connection);
  const transaction: InTransaction = prisma !== undefined ? inPrisma(prisma) : ((work) => database.transaction(work));
  let passedMs = 0;
  const compile = async (declarations: readonly ScheduleDeclaration[]): Promise<Schedule[]> =>
    (await compileSchedules(declarations)).map((schedule) => inPassedTime(schedule, () => passedMs));
  const outbox = outboxOver(database, { version, emit: (event) => listeners.forEach((listen) => listen(event)), inTransaction: transaction, compileSchedules: compile });

  async function jobs<Input>(contract?: Contract<Input>): Promise<StoredJob<Input>[]> {
    const all = (await storedJobs(database)) as StoredJob<Input>[]; // of the contract, whose schema they have passed
    return contract === undefined ? all : all.filter(({ type }) => type === contract.type);
  }

  return {
    ...outbox,
    prismaExtension: () => prismaExtension(outbox),
    jobs,
    transaction,
    async drainAll(options = {}) {
      await refuseOthers(database, "drainAll");
      return drainAll({ database, outbox, handlers: await loadedHandlers(handlers), schedules, listeners }, options);
    },
    async advance(time) {
      const ms = durationMs(time, "the time to advance by");
      await refuseOthers(database, "advance");
      await declareSchedules(database, await compile(schedules)); // or their first slot would be one after the time has passed
      await moveBack(database, ms);
      passedMs += ms;
    },
    async clear() {
      await refuseOthers(database, "clear");
      await deleteEverything(database);
      passedMs = 0;
    },
  };
}
