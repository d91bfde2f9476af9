// Workers inside the test's own process, stopped after each test, whatever became of it. One that ends with an error
// fails the test.

import { afterEach } from "vitest";
import type { Outbox } from "../../src/outbox/outbox.ts";
import type { Worker, WorkerOptions } from "../../src/outbox/worker.ts";

/** No poll falls into a test: what happens was caused by the doorbell, or by a timer. */
export const oneHourMs = 3_600_000;

export type StartWorker = (outbox: Outbox, options: WorkerOptions) => Worker;

/** To be called once, at the top of a test file. */
export function workersOfEachTest(): StartWorker {
  const started: { worker: Worker; ended: Promise<unknown> }[] = [];
  afterEach(async () => {
    const all = started.splice(0);
    await Promise.all(all.map(({ worker }) => worker.stop()));
    const errors = (await Promise.all(all.map(({ ended }) => ended))).filter((error) => error !== null);
    if (errors.length > 0) throw new AggregateError(errors, "a worker has failed");
  });
  return (outbox, options) => {
    const worker = outbox.worker(options);
    const ended = worker.start().then(
      () => null,
      (error: unknown) => error,
    );
    started.push({ worker, ended });
    return worker;
  };
}
