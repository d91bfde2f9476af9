// postcommit/testing: for the tests of apps that enqueue and handle jobs. It needs no test runner: whatever is not as
// expected is thrown as an Error. Its only barrel; index.ts of the library does not load it.

export type { DrainAllOptions, DrainAllReport, FailedAttempt } from "./drain-all.ts";
export type { Expectation, ExpectedOptions, JobSource } from "./expect-enqueued.ts";
export { expectEnqueued, refuteEnqueued } from "./expect-enqueued.ts";
export type { PartOf } from "./match.ts";
export type { FollowUp, JobRun, LoggedLine, RunJobOptions } from "./run-job.ts";
export { runJob } from "./run-job.ts";
export type { RunTwiceOptions } from "./run-twice.ts";
export { runTwice } from "./run-twice.ts";
export type { StoredJob } from "./stored-jobs.ts";
export type { TestOutbox, TestOutboxOptions } from "./test-outbox.ts";
export { testOutbox } from "./test-outbox.ts";
