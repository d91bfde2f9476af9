// Handlers that misbehave on purpose. Each first appends to the table `effects`, on a connection of its own, so that a
// test sees every start of a handler, whatever becomes of the job. The table is made by test/support/evidence.ts.

import pg from "pg";
import type { JobContext } from "postcommit";
import { defineConfig, defineJob, FinalError, handle } from "postcommit";

/** EFFECTS_URL: around whatever the test has put between the program and its database. */
const pool = new pg.Pool({ connectionString: process.env.EFFECTS_URL ?? process.env.DATABASE_URL, max: 4, application_name: "effects" });
pool.on("error", () => undefined);

interface Payload {
  /** What happens after the effect is written. */
  readonly then: "return" | "sleep" | "hang" | "exit" | "block" | "ignore-signal" | "reject-later" | "complete" | "throw" | "throw-until" | "final" | "once" | "out-of-memory";
  /** For sleep and block. */
  readonly ms?: number;
  /** throw-until: the attempt that goes well. */
  readonly attempt?: number;
}

const contract = { retry: () => 0 };
const effect = defineJob<Payload>({ type: "effect", ...contract });
/** The same under a second type, for what is said about types. */
const other = defineJob<Payload>({ type: "other-effect", ...contract });

async function run({ then, ms = 0, attempt = 1 }: Payload, ctx: JobContext): Promise<unknown> {
  await pool.query("insert into effects (job, attempt, key, visible) values ($1, $2, $3, exists (select from outbox where id = $1))", [ctx.job.id, ctx.attempt, ctx.idempotencyKey]);
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
      // Something outside the database, whose receiver knows the key.
      return ctx.effect(
        "sent",
        async (key) => {
          await pool.query("insert into sent (job, attempt, key) values ($1, $2, $3)", [ctx.job.id, ctx.attempt, key]);
          return { sent: true };
        },
        { repeatable: true },
      );
  }
}

function eatAllMemory(): never {
  const eaten: unknown[] = [];
  for (;;) eaten.push(Array.from({ length: 100_000 }, (_, index) => ({ index })));
}

export default defineConfig({ handlers: [handle(effect, run), handle(other, run)] });
