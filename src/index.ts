// The library's surface. Nothing else is public.

export type { Duration } from "./outbox/duration.ts";
export type { Retry } from "./outbox/backoff.ts";
export type { AnyTransaction, DrizzleTransaction, KyselyTransaction, PostgresJsTransaction, PrismaTransaction, SqlTransaction, Transaction } from "./outbox/database.ts";
export type { Breaker } from "./outbox/breaker.ts";
export type { Contract, ContractDefinition, Handler, JobContext, JobLog, LazyHandler, OnDead, Schema } from "./outbox/define.ts";
export { defineJob, handle } from "./outbox/define.ts";
export type { DrainOptions, DrainReport, RunOptions } from "./outbox/drain.ts";
export type { EffectOptions, ResolveEffectOptions } from "./outbox/effects.ts";
export type { Enqueued, EnqueueOptions, JobRequest } from "./outbox/enqueue.ts";
export type { ErrorCode } from "./outbox/errors.ts";
export { FinalError, InDoubtError, LeaseLostError, NotInTransactionError, OutboxError, PayloadError, PayloadTooLargeError, RetryAfter } from "./outbox/errors.ts";
export type { Emit, OutboxEvent } from "./outbox/events.ts";
export type { HandleManyOptions, JobOfMany } from "./outbox/handle-many.ts";
export { handleMany } from "./outbox/handle-many.ts";
export type { TypeState } from "./outbox/inspect-types.ts";
export type { ClaimedJob, Lease, Status } from "./outbox/job.ts";
export type { Concurrency, RateLimit } from "./outbox/limits.ts";
export * from "./outbox/register.ts"; // as a whole, or an app could not add to it
export type { HandlerEntry } from "./outbox/registry.ts";
export type { PauseOptions, ResumeOptions } from "./outbox/pause.ts";
export type { PruneOptions, PruneReport } from "./outbox/prune.ts";
export type { Retention } from "./outbox/retention.ts";
export type { ScheduleDeclaration, ScheduleDefinition } from "./outbox/schedule.ts";
export { defineSchedule } from "./outbox/schedule.ts";
export type { Missed } from "./outbox/slots.ts";
export { jsonSchemaOf } from "./outbox/json-schema.ts";
export type { Outbox } from "./outbox/outbox.ts";
export type { Effect } from "./outbox/store/running.ts";
export type { Pause } from "./outbox/store/pauses.ts";
export type { StateOf, Transitions } from "./outbox/transition.ts";
export { assertTransition, TransitionError } from "./outbox/transition.ts";
export type { Worker, WorkerOptions } from "./outbox/worker.ts";
export type { OutboxConfig } from "./service/config.ts";
export { defineConfig } from "./service/config.ts";
export type { AppOutbox, CreateOutboxOptions, PgPool } from "./service/create-outbox.ts";
export { createOutbox } from "./service/create-outbox.ts";
export type { InPrismaTransaction, PrismaExtension } from "./service/prisma-extension.ts";
