// Jobs that are taken away from a worker while it runs them: cancelled, or changed by hand. Their rows are looked at once
// a second, so that a handler's signal fires within two seconds wherever it runs, behind a pooler too. Short jobs end
// before anybody would look, and cost nothing.

import { AttemptEnded } from "./attempt.ts";
import type { Sql } from "./database.ts";
import type { Emit } from "./events.ts";
import type { Hands } from "./hands.ts";
import { findTaken } from "./store/running.ts";

const everyMs = 1000;
/** Younger attempts are left to the next look. */
const runsForMs = 500;

/** Begins to look. Gives back how to end it. */
export function watchRunning(sql: Sql, hands: Pick<Hands, "longRunning">, emit: Emit): () => void {
  let looking = false;

  async function look(): Promise<void> {
    const running = hands.longRunning(runsForMs);
    if (running.length === 0) return;
    const taken = await findTaken(sql, running.map(({ job }) => job.lease));
    for (const { job, attempt } of running) {
      const status = taken.get(job.id);
      if (status === "cancelled") attempt.end(new AttemptEnded("cancelled", "the job was cancelled"));
      else if (status !== undefined) attempt.end(new AttemptEnded("lease_lost", "somebody has changed the job while it ran"));
    }
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .catch((error: unknown) => emit({ event: "database_failed", doing: "look after running jobs", error, retryInMs: everyMs }))
      .finally(() => (looking = false));
  }, everyMs).unref();
  return () => clearInterval(timer);
}
