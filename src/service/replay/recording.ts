// A handler's context that remembers the jobs which are enqueued by it.

import type { JobContext } from "../../outbox/define.ts";
import type { EnqueueOptions } from "../../outbox/enqueue.ts";
import { toJson } from "../../outbox/payload.ts";

export interface EnqueuedJob {
  readonly id: string;
  readonly type: string;
  readonly payload: unknown;
  readonly options: EnqueueOptions;
}

/** A proxy, because what the context is made of is private. */
export function recording(context: JobContext, enqueued: EnqueuedJob[]): JobContext {
  const enqueue: JobContext["enqueue"] = async (tx, contract, payload, options = {}) => {
    const stored = await context.enqueue(tx, contract, payload, options);
    if (!stored.deduplicated) enqueued.push({ id: stored.id, type: contract.type, payload: JSON.parse(toJson(contract.type, payload)), options });
    return stored;
  };
  return new Proxy(context, { get: (target, name): unknown => (name === "enqueue" ? enqueue : Reflect.get(target, name, target)) });
}
