// The library's surface. Nothing else is public.

export type { Duration } from "./outbox/duration.ts";
export type { Retry } from "./outbox/backoff.ts";
export type { AnyTransaction, PrismaTransaction, SqlTransaction, Transaction } from "./outbox/database.ts";
export type { Contract, ContractDefinition, Handler, JobContext, JobLog, LazyHandler, OnDead, Schema } from "./outbox/define.ts";
export { defineJob, handle } from "./outbox/define.ts";
export type { DrainOptions, DrainReport, RunOptions } from "./outbox/drain.ts";
export type { Enqueued, EnqueueOptions, JobRequest } from "./outbox/enqueue.ts";
export type { ErrorCode } from "./outbox/errors.ts";
export { FinalError, LeaseLostError, NotInTransactionError, OutboxError, PayloadError, PayloadTooLargeError, RetryAfter } from "./outbox/errors.ts";
export type { Emit, OutboxEvent } from "./outbox/events.ts";
export type { TypeState } from "./outbox/inspect-types.ts";
export type { ClaimedJob, Lease, Status } from "./outbox/job.ts";
export type { Concurrency, RateLimit } from "./outbox/limits.ts";
export type { HandlerEntry } from "./outbox/registry.ts";
export type { PauseOptions, ResumeOptions } from "./outbox/pause.ts";
export type { PruneOptions, PruneReport } from "./outbox/prune.ts";
export type { Retention } from "./outbox/retention.ts";
export type { ScheduleDeclaration, ScheduleDefinition } from "./outbox/schedule.ts";
export { defineSchedule } from "./outbox/schedule.ts";
export type { Missed } from "./outbox/slots.ts";
export type { Outbox } from "./outbox/outbox.ts";
export type { Pause } from "./outbox/store/pauses.ts";
export type { Worker, WorkerOptions } from "./outbox/worker.ts";
export type { OutboxConfig } from "./service/config.ts";
export { defineConfig } from "./service/config.ts";
export type { CreateOutboxOptions } from "./service/create-outbox.ts";
export { createOutbox } from "./service/create-outbox.ts";
