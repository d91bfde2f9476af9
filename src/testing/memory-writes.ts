// What an attempt writes while it runs, kept in memory: the place of outbox/job-writes.ts when there is no job in the table.
// Only what a handler does in a transaction needs one.

import type { Transaction } from "../outbox/database.ts";
import { LeaseLostError } from "../outbox/errors.ts";
import type { JobWrites } from "../outbox/job-writes.ts";
import { maxResultBytes, toJson } from "../outbox/payload.ts";
import { inSavepoint } from "../service/replay/savepoint.ts";
import type { FollowUp, RunJobOptions } from "./run-job.ts";

/** What attempts at one job leave behind for each other. */
export interface Kept {
  /** When the job was enqueued: the same for all of them. */
  readonly createdAt: Date;
  completed: boolean;
  /** Of ctx.complete: JSON text. */
  result: string | null;
  checkpoint: unknown;
  readonly progress: { readonly percent: number; readonly note: string | null }[];
  readonly enqueued: FollowUp[];
  /** Results of ctx.effect, by name. */
  readonly effects: Map<string, unknown>;
  /** A mistake of the test's, which is no failure of the handler's. */
  mistake: Error | null;
}

export function keepNothing(): Kept {
  return { createdAt: new Date(), completed: false, result: null, checkpoint: null, progress: [], enqueued: [], effects: new Map(), mistake: null };
}

/** `tx`: see RunJobOptions. */
export function memoryWrites(kept: Kept, tx: RunJobOptions["tx"]): JobWrites {
  async function inTransaction<Value>(asked: string, work: (tx: Transaction) => Promise<Value>): Promise<Value> {
    if (tx === undefined) {
      kept.mistake = new Error(`Expected a transaction for ${asked}, got none. Pass the test's own, runJob(handler, payload, { tx }), or a test outbox, which makes one: { tx: outbox }.`);
      throw kept.mistake;
    }
    const enqueuedBefore = kept.enqueued.length;
    try {
      return await ("drainAll" in tx ? tx.transaction(work) : inSavepoint(tx, work));
    } catch (error) {
      kept.enqueued.length = enqueuedBefore;
      throw error;
    }
  }

  return {
    async complete(job, work) {
      const { value, result } = await inTransaction("ctx.complete", async (sql) => {
        const done = await work(sql);
        if (kept.completed) throw new LeaseLostError(job.id);
        return done;
      });
      kept.completed = true;
      kept.result = result;
      return value;
    },
    progress(_job, percent, note) {
      kept.progress.push({ percent, note });
      return Promise.resolve();
    },
    checkpoint(_job, checkpoint) {
      kept.checkpoint = JSON.parse(checkpoint);
      return Promise.resolve();
    },
    async checkpointIn(_job, work, json) {
      let checkpoint = "";
      const data = await inTransaction("the work of ctx.checkpoint", async (handed) => {
        const given = await work(handed);
        checkpoint = json(given);
        return given;
      });
      kept.checkpoint = JSON.parse(checkpoint);
      return data;
    },
    async effect<Result>(job: { id: string; type: string }, name: string, run: (key: string) => Promise<Result>): Promise<Result> {
      // It is JSON of what `run` gave back in the attempt before, and its type is the handler's own.
      if (kept.effects.has(name)) return kept.effects.get(name) as Result;
      const result = await run(`${job.id}/${name}`);
      kept.effects.set(name, result === undefined ? undefined : JSON.parse(toJson(job.type, result, `the result of effect "${name}"`, maxResultBytes)));
      return result;
    },
  };
}
