// For development, where neither cron nor a worker runs: a trigger after each enqueue. When the transaction of an enqueue
// commits, the outbox is not told; so the trigger comes a moment later, and again, for transactions that take their time.
// A job that is enqueued by one that takes longer than that waits for the next enqueue. In production a worker or cron
// must run, and this must not be relied on.

import type { Outbox } from "../outbox/outbox.ts";
import type { Trigger } from "./trigger.ts";
import { triggerWorker } from "./trigger.ts";

/** After the latest enqueue. */
const afterMs = [100, 1000, 5000];

/** The same outbox, whose enqueues are followed by triggers. Timers keep no process alive. */
export function withTrigger<Own extends Outbox>(outbox: Own, trigger: Trigger): Own {
  let timers: NodeJS.Timeout[] = [];
  const soon = <Value>(value: Value): Value => {
    for (const timer of timers) clearTimeout(timer);
    timers = afterMs.map((ms) => setTimeout(() => void triggerWorker(trigger), ms).unref());
    return value;
  };
  return {
    ...outbox,
    enqueue: (...given: Parameters<Outbox["enqueue"]>) => outbox.enqueue(...given).then(soon),
    enqueueMany: (...given) => outbox.enqueueMany(...given).then(soon),
    enqueueAlone: (...given: Parameters<Outbox["enqueueAlone"]>) => outbox.enqueueAlone(...given).then(soon),
    enqueueManyAlone: (...given) => outbox.enqueueManyAlone(...given).then(soon),
    async close() {
      for (const timer of timers) clearTimeout(timer);
      await outbox.close();
    },
  };
}
