// Handlers that misbehave on purpose. Each first appends to the table `effects`, on a connection of its own, so that a
// test sees every start of a handler, whatever becomes of the job. The table is made by test/support/evidence.ts.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { JobContext } from "postcommit";
import { defineConfig, defineJob, FinalError, handle } from "postcommit";

/** EFFECTS_URL: around whatever the test has put between the program and its database. */
const pool = new pg.Pool({ connectionString: process.env.EFFECTS_URL ?? process.env.DATABASE_URL, max: 4, application_name: "effects" });
pool.on("error", () => undefined);

interface Payload {
  /** What happens after the effect is written. */
  readonly then: "return" | "sleep" | "hang" | "exit" | "block" | "ignore-signal" | "reject-later" | "complete" | "throw" | "throw-until" | "final" | "once" | "out-of-memory" | "gate" | "once-gate" | "print" | "throw-later" | "snooze";
  /** For sleep and block; for once, how long its receiver takes to answer. */
  readonly ms?: number;
  /** throw-until: the attempt that goes well. */
  readonly attempt?: number;
}

const contract = { retry: () => 0 };
const effect = defineJob<Payload>({ type: "effect", ...contract });
/** The same under a second type, for what is said about types. */
const other = defineJob<Payload>({ type: "other-effect", ...contract });

async function run({ then, ms = 0, attempt = 1 }: Payload, ctx: JobContext): Promise<unknown> {
  await writeDownStart(ctx);
  switch (then) {
    case "return":
      return { attempt: ctx.attempt };
    case "sleep":
      return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, ms);
        ctx.signal.addEventListener("abort", () => {
          clearTimeout(timer);
          reject(ctx.signal.reason as Error);
        });
      });
    case "hang":
      // Ends with the signal, as a well-behaved handler does.
      return new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason as Error)));
    case "ignore-signal":
      return new Promise(() => setInterval(() => undefined, 1000));
    case "exit":
      return process.exit(0);
    case "out-of-memory":
      return eatAllMemory();
    case "throw-later":
      setTimeout(() => {
        throw new Error("nobody can catch this");
      });
      return new Promise(() => undefined);
    case "snooze":
      return ctx.snooze("10m");
    case "gate":
      await gate(ctx);
      return { attempt: ctx.attempt };
    case "once-gate":
      await send(ctx);
      await gate(ctx);
      return;
    case "print":
      for (const stream of [process.stdout, process.stderr]) stream.write(`a line of attempt ${ctx.attempt}\n`);
      await gate(ctx);
      for (const stream of [process.stdout, process.stderr]) stream.write("another line\n");
      return;
    case "block": {
      const until = Date.now() + (ms || 8000);
      while (Date.now() < until);
      return;
    }
    case "reject-later":
      void Promise.reject(new Error("nobody awaits this"));
      return;
    case "complete":
      return ctx.complete((tx) => tx.query("insert into completions (job, attempt) values ($1, $2)", [ctx.job.id, ctx.attempt]));
    case "throw":
      throw new Error("it failed on purpose");
    case "throw-until":
      if (ctx.attempt < attempt) throw new Error(`it failed on purpose in attempt ${ctx.attempt}`);
      return;
    case "final":
      throw new FinalError("it can never work");
    case "once":
      return send(ctx, ms);
  }
}

/** Once for each start, and again until it is written: Postgres may be away, and a start that leaves no trace would not be judged. */
async function writeDownStart({ job, attempt, idempotencyKey, signal }: JobContext): Promise<void> {
  const start = [randomUUID(), job.id, attempt, idempotencyKey, job.lease.worker, job.lease.token, job.startedAt];
  for (;;) {
    try {
      await pool.query(
        `insert into effects (start, job, attempt, key, worker, token, claimed_at, visible) values ($1, $2, $3, $4, $5, $6, $7, exists (select from outbox where id = $2))
         on conflict (start) do nothing`,
        start,
      );
      return;
    } catch (error) {
      signal.throwIfAborted();
      // The statement is wrong, and Postgres is there to say so.
      if (error instanceof pg.DatabaseError && !/^(57|08|53)/.test(error.code ?? "")) throw error;
      await sleep(50);
    }
  }
}

/** Something outside the database, whose receiver knows the key. */
const send = (ctx: JobContext, ms = 0) =>
  ctx.effect(
    "sent",
    async (key) => {
      await pool.query("insert into sent (job, attempt, key) values ($1, $2, $3)", [ctx.job.id, ctx.attempt, key]);
      if (ms > 0) await sleep(ms);
      return { sent: true };
    },
    { repeatable: true },
  );

/** Comes through when the test opens it: see test/support/scene.ts. It takes no notice of the signal. */
const gate = ({ attempt }: JobContext) => pool.query("select pg_advisory_xact_lock_shared(7, $1)", [attempt]);

function eatAllMemory(): never {
  const eaten: unknown[] = [];
  for (;;) eaten.push(Array.from({ length: 100_000 }, (_, index) => ({ index })));
}

export default defineConfig({ handlers: [handle(effect, run), handle(other, run)] });
