// The fence: worker, token and status, named by every write of an attempt; and what is asked when an answer was lost.

import type { Mutant } from "../mutant.ts";

const settle = "src/outbox/store/settle.ts";
const exchange = "src/outbox/store/exchange.ts";
const running = "src/outbox/store/running.ts";
const lease = "test/outbox/lease.test.ts";
const races = "test/outbox/races.test.ts";
const context = "test/outbox/context.test.ts";

export const fenceGuards: readonly Mutant[] = [
  {
    name: "fence-settle-worker",
    guard: "Another worker's settlement is not taken for that of the worker that has the job.",
    file: settle,
    out: "and outbox.locked_by is not distinct from outcome.worker",
    in: "",
    noticedBy: { [lease]: "is worker, token and status" },
  },
  {
    name: "fence-settle-token",
    guard: "A settlement from before the job was claimed anew by the same worker is void.",
    file: settle,
    out: "and outbox.lease_token is not distinct from outcome.token",
    in: "",
    noticedBy: { [lease]: "is worker, token and status" },
  },
  {
    name: "fence-settle-status",
    guard: "A settlement after the job was given back, cancelled or reset is void.",
    file: settle,
    out: "and outbox.status is not distinct from 'processing'",
    in: "",
    noticedBy: { [lease]: "the fence" },
  },
  {
    name: "fence-exchange-worker",
    guard: "The same of the statement that settles together with the next claim: the worker.",
    file: exchange,
    out: "and outbox.locked_by is not distinct from $1",
    in: "",
    noticedBy: { [lease]: "a worker whose lease has expired", [races]: "that began while the job was its own" },
  },
  {
    name: "fence-exchange-token",
    guard: "The same of the statement that settles together with the next claim: the token.",
    file: exchange,
    out: "and outbox.lease_token is not distinct from done.token",
    in: "",
    noticedBy: { [races]: "that began while the job was its own" },
  },
  {
    name: "fence-exchange-status",
    guard: "The same of the statement that settles together with the next claim: the status.",
    file: exchange,
    out: "and outbox.status is not distinct from 'processing'",
    in: "",
    noticedBy: { [races]: "that comes while somebody resets the job by hand is lost" },
  },
  {
    name: "fence-running-worker",
    guard: "A checkpoint, progress or an effect of an attempt that lost its lease is not written: the worker.",
    file: running,
    out: "and locked_by is not distinct from $2",
    in: "and $2::uuid is not null",
    noticedBy: { [context]: "lost its lease", "test/outbox/effects.test.ts": "lost its lease", "test/guards/running.test.ts": "what a running attempt writes" },
  },
  {
    name: "fence-running-token",
    guard: "The same: the token.",
    file: running,
    out: "and lease_token is not distinct from $3",
    in: "and $3::bigint is not null",
    noticedBy: { [context]: "lost its lease", "test/outbox/effects.test.ts": "lost its lease", "test/guards/running.test.ts": "what a running attempt writes" },
  },
  {
    name: "fence-running-status",
    guard: "The same: the status.",
    file: running,
    out: "and status is not distinct from 'processing'",
    in: "",
    noticedBy: { [context]: "lost its lease", "test/outbox/effects.test.ts": "lost its lease", "test/guards/running.test.ts": "what a running attempt writes" },
  },
  {
    name: "complete-unfenced",
    guard: "The writes of a handler are rolled back when its completion is refused by the fence.",
    file: "src/outbox/settle.ts",
    out: ".has(job.id)) throw new LeaseLostError(job.id);",
    in: ".has(job.id)) void 0;",
    noticedBy: { [lease]: "rolls the handler's writes back when the lease was lost on the way" },
  },
  {
    name: "checkpoint-unfenced",
    guard: "An attempt that has lost its lease is told so when it writes, and the work of its checkpoint is rolled back.",
    file: "src/outbox/job-writes.ts",
    out: "if (!held) throw",
    in: "if (held === null) throw",
    noticedBy: { [context]: "lost its lease" },
  },
  {
    name: "effect-unfenced",
    guard: "An attempt that has lost its lease begins no effect outside.",
    file: "src/outbox/effects.ts",
    out: "if (!held) throw",
    in: "if (held === null) throw",
    noticedBy: { "test/outbox/effects.test.ts": "an attempt that has lost its lease begins no effect" },
  },
  {
    name: "effect-in-doubt",
    guard: "An effect of which nobody knows whether it happened is not done again unless the receiver knows the key.",
    file: "src/outbox/effects.ts",
    out: "if (verify === undefined && !repeatable)",
    in: "if (verify === null && !repeatable)",
    noticedBy: { "test/outbox/effects.test.ts": "parks the job for people" },
  },
  {
    name: "settlement-found",
    guard: "A settlement whose answer was lost is taken for written only when the job has the status that was to be written.",
    file: settle,
    out: "where outbox.status = asked.status",
    in: "where outbox.status is not null",
    noticedBy: { [races]: "and that had not been written is lost" },
  },
  {
    name: "settlement-found-in-ledger",
    guard: "The same, when a rescue or a reset by hand has left the names of the fence in the row: the ledger must agree.",
    file: settle,
    out: "and (asked.outcome is not null) = exists (",
    in: "and (asked.outcome is not null) is not null or exists (",
    noticedBy: { [races]: "and that had not been written is lost" },
  },
  {
    name: "commit-answered-late",
    guard: "A completion that was committed is not done again because the answer to its commit was lost.",
    file: "src/outbox/settle.ts",
    out: "if (found.has(job.id)) return last.value;",
    in: "",
    noticedBy: { [races]: "whose commit was carried out, but not answered, is complete" },
    says: "Error: the connection broke after the commit",
  },
];
