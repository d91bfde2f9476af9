// What an attempt writes while it runs, in a dry run: transactions are real and rolled back, everything else is only noted.
// The place of outbox/job-writes.ts.

import { InDoubtError } from "../../outbox/errors.ts";
import type { JobWrites } from "../../outbox/job-writes.ts";
import { maxResultBytes, toJson } from "../../outbox/payload.ts";
import type { Effect } from "../../outbox/store/running.ts";
import type { Rollback } from "./rollback.ts";

/** What became of one `ctx.effect`. */
export interface NotedEffect {
  readonly name: string;
  /** "from the ledger": an earlier attempt has done it, and it would not be done again. */
  readonly outcome: "done" | "failed" | "in doubt" | "from the ledger" | "verified";
}

export interface Noted {
  completed: boolean;
  /** Of ctx.complete: JSON text. */
  result: string | null;
  readonly checkpoints: { readonly bytes: number; readonly data: unknown }[];
  readonly progress: { readonly percent: number; readonly note: string | null }[];
  readonly effects: NotedEffect[];
}

export const noteNothing = (): Noted => ({ completed: false, result: null, checkpoints: [], progress: [], effects: [] });

/** `ledger`: the effects that earlier attempts have left. */
export function notedWrites(noted: Noted, rollback: Rollback, ledger: readonly Effect[]): JobWrites {
  const keep = (checkpoint: string) => void noted.checkpoints.push({ bytes: Buffer.byteLength(checkpoint), data: JSON.parse(checkpoint) });
  const results = new Map<string, unknown>();
  return {
    async complete(_job, work) {
      const { value, result } = await rollback.inTransaction(work);
      noted.completed = true;
      noted.result = result;
      return value;
    },
    progress(_job, percent, note) {
      noted.progress.push({ percent, note });
      return Promise.resolve();
    },
    checkpoint(_job, checkpoint) {
      keep(checkpoint);
      return Promise.resolve();
    },
    async checkpointIn(_job, work, json) {
      const stored: string[] = [];
      const data = await rollback.inTransaction(async (tx) => {
        const given = await work(tx);
        stored.push(json(given));
        return given;
      });
      stored.forEach(keep);
      return data;
    },
    async effect<Result>({ id, type }: { id: string; type: string }, name: string, run: (key: string) => Promise<Result>, { verify, repeatable = false }: { verify?: (key: string) => Promise<{ readonly result: Result } | null>; repeatable?: boolean }): Promise<Result> {
      const key = `${id}/${name}`;
      const note = (outcome: NotedEffect["outcome"]) => void noted.effects.push({ name, outcome });
      const earlier = ledger.find((each) => each.name === name);
      // It is JSON of what `run` gave back, and its type is the handler's own.
      if (results.has(name)) return results.get(name) as Result;
      if (earlier?.state === "done") {
        note("from the ledger");
        return (earlier.result ?? undefined) as Result;
      }
      if (earlier !== undefined) {
        const happened = (await verify?.(key)) ?? null;
        if (happened !== null) {
          note("verified");
          return happened.result;
        }
        if (verify === undefined && !repeatable) {
          note("in doubt");
          throw new InDoubtError(name, key, earlier.attempt);
        }
      }
      try {
        const result = await run(key);
        if (result !== undefined) toJson(type, result, `the result of effect "${name}"`, maxResultBytes); // refuses what could not be stored
        results.set(name, result);
        note("done");
        return result;
      } catch (error) {
        note("failed");
        throw error;
      }
    },
  };
}
