// What a dry run has found out.

import type { Failure } from "../../outbox/job.ts";
import type { TableWrites } from "./rollback.ts";
import type { Refusal } from "./seal.ts";
import type { ShownRequest } from "./shown.ts";
import type { NotedEffect } from "./writes.ts";

export interface ReplayReport {
  readonly dryRun: true;
  readonly job: { readonly id: string; readonly type: string; readonly status: string; readonly attempts: number; readonly attempt: number; readonly maxAttempts: number; readonly version: number };
  /**
   * What the next attempt would come to. "unknown": the handler failed at something that only the dry run refused it.
   * "unfinished": it was not done within the time that the dry run was given. "crashed": it threw where no promise holds
   * the error, which ends the process of a worker.
   */
  readonly outcome: "done" | "retried" | "dead" | "snoozed" | "unknown" | "unfinished" | "crashed" | "stopped";
  readonly failure: Failure | null;
  /** Of retried and snoozed. */
  readonly delayMs: number | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
  /** By ctx.complete. */
  readonly completed: boolean;
  readonly result: unknown;
  readonly requests: readonly ShownRequest[];
  readonly mails: readonly { readonly recipients: number; readonly subject: string; readonly attachments: number; readonly bytes: number }[];
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly pages: number | null; readonly replaces: boolean }[];
  readonly writes: readonly TableWrites[];
  readonly enqueued: readonly { readonly type: string; readonly count: number; readonly channels: readonly string[] }[];
  readonly effects: readonly NotedEffect[];
  readonly checkpoints: readonly { readonly bytes: number }[];
  readonly progress: readonly { readonly percent: number; readonly note: string | null }[];
  readonly logs: readonly { readonly level: "info" | "warn"; readonly message: string; readonly fields: Record<string, unknown> }[];
  readonly refused: readonly Refusal[];
  /** Connections of the handler's own that read from the outbox's database. */
  readonly readers: number;
  /** What to know about this dry run. */
  readonly notes: readonly string[];
}
