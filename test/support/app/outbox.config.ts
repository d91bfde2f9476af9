// Handlers that misbehave on purpose. Each first appends to the table `effects`, on a connection of its own, so that a
// test sees every start of a handler, whatever becomes of the job.

import pg from "pg";
import { defineConfig, defineJob, handle } from "postcommit";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 });
pool.on("error", () => undefined);

/** What happens after the effect is written. */
type Then = "return" | "hang" | "exit" | "block" | "ignore-signal" | "reject-later";

const effect = defineJob<{ then: Then }>({ type: "effect", retry: () => 0 });

export default defineConfig({
  handlers: [
    handle(effect, async ({ then }, ctx) => {
      await pool.query("insert into effects (job, attempt, key) values ($1, $2, $3)", [ctx.job.id, ctx.attempt, ctx.idempotencyKey]);
      switch (then) {
        case "return":
          return;
        case "hang":
          // Ends with the signal, as a well-behaved handler does.
          await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason as Error)));
          return;
        case "ignore-signal":
          await new Promise(() => setInterval(() => undefined, 1000));
          return;
        case "exit":
          return process.exit(0);
        case "block": {
          const until = Date.now() + 8000;
          while (Date.now() < until);
          return;
        }
        case "reject-later":
          void Promise.reject(new Error("nobody awaits this"));
          return;
      }
    }),
  ],
});
