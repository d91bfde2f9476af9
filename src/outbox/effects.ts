// `ctx.effect`: what is done outside the database, at most as often as its ledger allows. Nobody can commit a row and charge
// a card in one go; but a row can say beforehand that the card is about to be charged, so that whoever comes after a
// crash knows what to ask.

import type { ActorOptions } from "./actor.ts";
import { by } from "./actor.ts";
import type { Sql } from "./database.ts";
import { FinalError, InDoubtError, isA, LeaseLostError, OutboxError, RetryAfter } from "./errors.ts";
import type { ClaimedJob } from "./job.ts";
import { maxResultBytes, toJson } from "./payload.ts";
import * as actions from "./store/effect-actions.ts";
import { beginEffect, endEffect, withdrawEffect } from "./store/running.ts";
import { text } from "./text.ts";

export interface EffectOptions<Result> {
  /** Asked of an effect in doubt: the result when it happened, null when it did not. */
  readonly verify?: (key: string) => Promise<{ readonly result: Result } | null>;
  /** The receiver knows the key: what is in doubt is done again. Default: false. */
  readonly repeatable?: boolean;
}

export interface ResolveEffectOptions extends ActorOptions {
  readonly happened: boolean;
  /** What `ctx.effect` is to give back; only for one that happened. JSON, at most 64 KB. */
  readonly result?: unknown;
}

/** What `ctx.effect` does for one job; `sql` commits each statement by itself. */
export async function effect<Result>(
  sql: Sql,
  { id, type, attempt, lease }: ClaimedJob,
  name: string,
  run: (key: string) => Promise<Result>,
  { verify, repeatable = false }: EffectOptions<Result> = {},
): Promise<Result> {
  text(`the name of an effect of "${type}"`, name, 200);
  const key = `${id}/${name}`;
  const finish = async (result: Result): Promise<Result> => {
    const stored = result === undefined ? null : toJson(type, result, `the result of effect "${name}"`, maxResultBytes);
    if (!(await endEffect(sql, lease, name, "done", stored))) throw new LeaseLostError(id);
    return result;
  };

  const { held, earlier } = await beginEffect(sql, lease, name, attempt);
  if (!held) throw new LeaseLostError(id);
  // It is JSON of what `run` gave back in an earlier attempt, and its type is the handler's own.
  if (earlier?.state === "done") return (earlier.result ?? undefined) as Result;
  if (earlier !== null) {
    const happened = (await verify?.(key)) ?? null;
    if (happened !== null) return await finish(happened.result);
    if (verify === undefined && !repeatable) {
      await endEffect(sql, lease, name, "in doubt", null);
      throw new InDoubtError(name, key, earlier.attempt);
    }
  }
  return finish(
    await run(key).catch(async (error: unknown) => {
      // The receiver has answered: nothing happened. After anything else, such as a time-out, nobody knows.
      if (isA(error, FinalError) || isA(error, RetryAfter)) await withdrawEffect(sql, lease, name);
      throw error;
    }),
  );
}

/** A person says what became of an effect that was not finished. */
export async function resolveEffect(sql: Sql, jobId: string, name: string, { happened, result, ...who }: ResolveEffectOptions): Promise<boolean> {
  if (typeof happened !== "boolean") throw new OutboxError("INVALID_OPTION", `Expected happened of effect "${name}" to be true or false, got ${String(happened)}.`);
  const stored = result === undefined || !happened ? null : toJson("effect", result, `the result of effect "${name}"`, maxResultBytes);
  return actions.resolveEffect(sql, { jobId, name, happened, result: stored, ...by(who) });
}
