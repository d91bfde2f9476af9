// What a handler is given beside its payload. Made for every attempt, so what many handlers never ask for is made when they
// do; all of it can be taken out of the context (`const { signal, log } = ctx`).

import type { Attempt } from "./attempt.ts";
import type { Transaction } from "./database.ts";
import type { JobContext, JobLog } from "./define.ts";
import { durationMs } from "./duration.ts";
import { enqueueJob } from "./enqueue.ts";
import { FinalError, OutboxError } from "./errors.ts";
import type { Emit } from "./events.ts";
import type { Conceal } from "./failure.ts";
import { cleanText, concealNothing } from "./failure.ts";
import type { ClaimedJob } from "./job.ts";
import type { JobWrites } from "./job-writes.ts";
import { maxResultBytes, toJson } from "./payload.ts";
import type { Tracing } from "./tracing.ts";

const maxNoteBytes = 500;
const progressEveryMs = 500;
const minSnoozeMs = 1000;

/** What ends `ctx.snooze`; a handler that keeps it from going up is snoozed all the same. */
class Snoozed extends Error {
  override readonly name = "Snoozed";
}

export class Context implements JobContext {
  readonly job: ClaimedJob;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly idempotencyKey: string;
  readonly lastError: string | null;
  /** `complete`, once it has been called; never rejects. */
  completing: Promise<void> | null = null;
  completed = false;
  completionError: unknown = null;
  snoozedMs: number | null = null;
  readonly #own: Attempt;
  readonly #endsAt: number;
  readonly #writes: JobWrites;
  readonly #emit: Emit;
  readonly #tracing: Tracing | null;
  readonly #conceal: Conceal;
  #progressAt = Number.NEGATIVE_INFINITY;

  constructor(job: ClaimedJob, own: Attempt, timeoutMs: number, { writes, emit, tracing = null, conceal = concealNothing }: { readonly writes: JobWrites; readonly emit: Emit; readonly tracing?: Tracing | null; readonly conceal?: Conceal }) {
    this.job = job;
    this.attempt = job.attempt;
    this.maxAttempts = job.maxAttempts;
    this.idempotencyKey = job.id;
    this.lastError = job.lastError;
    this.#own = own;
    this.#endsAt = Date.now() + timeoutMs;
    this.#writes = writes;
    this.#emit = emit;
    this.#tracing = tracing;
    this.#conceal = conceal;
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  get deadline(): Date {
    return new Date(this.#endsAt);
  }

  get log(): JobLog {
    const log = (level: "info" | "warn") => (message: string, fields: Record<string, unknown> = {}) => {
      this.#emit({ event: "job_logged", job: this.job, level, message, fields });
    };
    return { info: log("info"), warn: log("warn") };
  }

  get enqueue(): JobContext["enqueue"] {
    return (tx, contract, payload, options) => enqueueJob(tx, contract, payload, options, this.#tracing);
  }

  get progress(): JobContext["progress"] {
    return async (percent, note) => {
      if (typeof percent !== "number" || !(percent >= 0 && percent <= 100)) {
        throw new OutboxError("INVALID_OPTION", `Expected progress of "${this.job.type}" to be a number from 0 to 100, got ${String(percent)}.`);
      }
      const now = performance.now();
      if (percent < 100 && now - this.#progressAt < progressEveryMs) return;
      this.#progressAt = now;
      await this.#writes.progress(this.job, Math.round(percent), note === undefined ? null : cleanText(this.#conceal(note, this.job.payload), maxNoteBytes));
    };
  }

  get checkpoint(): JobContext["checkpoint"] {
    return async (data) => {
      this.#mustGoOn("checkpoint");
      const json = (value: unknown) => toJson(this.job.type, value, "the checkpoint", maxResultBytes);
      return isFunction(data) ? await this.#writes.checkpointIn(this.job, data, json) : (await this.#writes.checkpoint(this.job, json(data)), data);
    };
  }

  get snooze(): JobContext["snooze"] {
    return (delay) => {
      this.#mustGoOn("snooze");
      this.snoozedMs = Math.max(durationMs(delay, `the snooze of "${this.job.type}"`), minSnoozeMs);
      throw new Snoozed(`asked to be run again in ${this.snoozedMs} ms`);
    };
  }

  get effect(): JobContext["effect"] {
    return (name, run, options = {}) => this.#writes.effect(this.job, name, run, options);
  }

  get complete(): JobContext["complete"] {
    return async (work, result = () => undefined) => {
      this.#mustGoOn("complete");
      const running = this.#writes.complete(this.job, async (tx) => {
        const value = await work(tx);
        if (this.#own.reason !== null) throw this.#own.reason;
        return { value, result: resultJson(this.job, result(value)) };
      });
      this.completing = running.then(
        () => void (this.completed = true),
        (error: unknown) => void (this.completionError = error),
      );
      return await running;
    };
  }

  /** Completion and snooze are last steps, and an attempt that was ended is over. */
  #mustGoOn(asked: string): void {
    if (this.completing !== null) throw new FinalError(`ctx.${asked} was called after ctx.complete; expected complete once, as the handler's last step.`);
    if (this.snoozedMs !== null) throw new FinalError(`ctx.${asked} was called after ctx.snooze; expected snooze as the handler's last step.`);
    if (this.#own.reason !== null) throw this.#own.reason;
  }
}

/** A function is not JSON: nobody can mean it as the data itself. */
function isFunction<Data>(data: Data | ((tx: Transaction) => Promise<Data>)): data is (tx: Transaction) => Promise<Data> {
  return typeof data === "function";
}

/** What a handler has returned, as JSON text; null for nothing. */
export function resultJson({ type }: ClaimedJob, result: unknown): string | null {
  return result === undefined ? null : toJson(type, result, "the handler's result", maxResultBytes);
}
