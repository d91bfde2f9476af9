// What a drain shows while a person watches: how far it is, how fast, and how much is left.

import { countDue } from "../outbox/inspect.ts";
import type { PumpState } from "../outbox/pump.ts";
import { createRegistry } from "../outbox/registry.ts";
import type { Service } from "../service/service.ts";
import type { ProgressLine } from "./progress.ts";
import { bar } from "./progress.ts";

const countEveryMs = 2000;

/** Shows it until `end`; `onState` is what the drain tells. */
export function showDrain(progress: ProgressLine, { database, handlers }: Service, types: readonly string[] | undefined): { onState: (state: PumpState) => void; end: () => void } {
  const drained = createRegistry(handlers, types).types();
  const startedAt = performance.now();
  let state: PumpState | null = null;
  let due: number | null = null;
  let counting = false;

  const count = () => {
    if (counting) return;
    counting = true;
    countDue(database, drained)
      .then((found) => (due = found))
      .catch(() => (due = null)) // the drain itself tells of a database that fails
      .finally(() => (counting = false));
  };
  const timer = setInterval(count, countEveryMs).unref();
  progress.show(() => {
    if (state === null) return "looking for what is due …";
    if (due === null) count();
    const { done, retried, dead } = state.tally;
    const ended = done + retried + dead;
    const rate = Math.round(ended / ((performance.now() - startedAt) / 1000));
    const part = due === null ? "" : `${bar(ended, ended + due + state.running + state.waiting)}  `;
    return `${part}${done} done, ${retried} retried, ${dead} dead, ${state.running} running, ${rate}/s`;
  });
  return {
    onState: (now) => void (state = now),
    end() {
      clearInterval(timer);
      progress.end();
    },
  };
}
