// Runs a handler twice, as happens when a worker dies between the handler's effects and the settlement of its job.

import { inspect, isDeepStrictEqual } from "node:util";
import { uuid7 } from "../outbox/uuid.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import { keepNothing } from "./memory-writes.ts";
import { runKept } from "./one-attempt.ts";
import type { JobRun, RunJobOptions } from "./run-job.ts";

export interface RunTwiceOptions extends Omit<RunJobOptions, "attempt" | "signal"> {
  /**
   * What can be seen of the handler's work from outside, as plain data: rows, mails that arrived, calls that a receiver
   * has carried out. Asked before the first attempt, after it, and after the second.
   */
  readonly effects: () => unknown;
}

/**
 * Runs `handler` on `payload` twice: attempts 1 and 2 of one job, with the same idempotency key. Throws when an attempt
 * fails, when `effects` sees nothing of the first one, and when it sees a difference after the second. What ctx.complete
 * writes is committed together with the completion, so the second time it is rolled back, with LeaseLostError; what
 * ctx.effect and ctx.checkpoint have stored is there.
 */
export async function runTwice(handler: HandlerEntry, payload: unknown, { effects, ...options }: RunTwiceOptions): Promise<{ readonly first: JobRun; readonly second: JobRun }> {
  const type = typeOf(handler);
  const { jobId = uuid7() } = options;
  const kept = keepNothing();
  const run = async (attempt: 1 | 2) => {
    const checkpoint = attempt === 1 ? options.checkpoint : kept.checkpoint;
    const ran = await runKept(handler, payload, { ...options, jobId, attempt, checkpoint }, kept);
    const refused = attempt === 2 && kept.completed && ran.outcome === "lost";
    if (ran.outcome === "done" || refused) return ran;
    throw new Error(`Expected ${attempt === 1 ? "the first" : "the second"} attempt of "${type}" to succeed, got ${ran.outcome}: ${String(ran.error)}`, { cause: ran.error });
  };

  const before = await seen(effects);
  const first = await run(1);
  const once = await seen(effects);
  if (isDeepStrictEqual(once, before)) throw new Error(`Expected effects to see what "${type}" does, but they are the same before and after it: ${shown(once)}`);
  const second = await run(2);
  const twice = await seen(effects);
  if (isDeepStrictEqual(twice, once)) return { first, second };
  throw new Error(
    `Expected a second attempt of "${type}" to change nothing, but its effects differ.\nAfter the first attempt:  ${shown(once)}\nAfter the second attempt: ${shown(twice)}\n` +
      "A worker that dies before it has settled a job leaves it to another one, so every handler runs twice some day. Send ctx.idempotencyKey to the receiver, write by ctx.complete, or keep a ledger by ctx.effect.",
  );
}

/** A copy: a test may well give back the array that it goes on filling. */
async function seen(effects: () => unknown): Promise<unknown> {
  const given: unknown = await effects();
  try {
    return structuredClone(given);
  } catch (cause) {
    throw new Error(`Expected effects to give back plain data, which can be copied and compared, got ${shown(given)}.`, { cause });
  }
}

function shown(value: unknown): string {
  return inspect(value, { depth: 8, maxArrayLength: 50, maxStringLength: 500, breakLength: Infinity });
}
