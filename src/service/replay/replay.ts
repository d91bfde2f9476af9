// Runs today's handler on a stored job for show: in a sealed process (seal.ts), in a transaction that is rolled back
// (rollback.ts). What decides what the attempt comes to is the engine's own run-job.ts. Next: report.ts.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Email } from "../../handlers/email/payload.ts";
import { AttemptEnded, endOfAttempts } from "../../outbox/attempt.ts";
import type { Handler } from "../../outbox/define.ts";
import { OutboxError } from "../../outbox/errors.ts";
import { failureOf } from "../../outbox/failure.ts";
import type { Outcome } from "../../outbox/job.ts";
import { createRegistry, typeOf } from "../../outbox/registry.ts";
import { runJob } from "../../outbox/run-job.ts";
import { listEffects } from "../../outbox/store/effect-actions.ts";
import { handlersOf } from "../handlers.ts";
import { redact } from "../redact.ts";
import type { Service } from "../service.ts";
import { answersFor } from "./answers.ts";
import { filesIn, located, mailsIn } from "./files.ts";
import type { EnqueuedJob } from "./recording.ts";
import { recording } from "./recording.ts";
import type { ReplayReport } from "./report.ts";
import { openRollback } from "./rollback.ts";
import type { Seal } from "./seal.ts";
import { secretsIn, shownRequest } from "./shown.ts";
import type { Answer } from "./sink.ts";
import type { StoredJob } from "./stored-job.ts";
import { readStoredJob } from "./stored-job.ts";
import { appTransactions } from "./transactions.ts";
import { noteNothing, notedWrites } from "./writes.ts";

export interface ReplayOptions {
  /** How long the dry run may take; the contract's own limit holds too. */
  readonly limitMs: number;
  readonly answer: Partial<Answer>;
  readonly reveal: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Throws OutboxError: NOT_FOUND for a job, CONFIGURATION for a handler that there is not. */
export async function replay(seal: Seal, service: Service, id: string, options: ReplayOptions): Promise<ReplayReport> {
  const stored = await seal.as("program", () => readStoredJob(service.database, id));
  if (stored === null) throw new OutboxError("NOT_FOUND", `There is no job ${id}.`);
  const folder = await mkdtemp(join(tmpdir(), "postcommit-replay-"));
  try {
    return await rehearse(seal, service, stored, options, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function rehearse(seal: Seal, service: Service, stored: StoredJob, { limitMs, answer, reveal, signal }: ReplayOptions, folder: string): Promise<ReplayReport> {
  const { settings, database } = service;
  const { job } = stored;
  const isBuiltIn = !settings.handlers.some((entry) => typeOf(entry) === job.type);
  const documentsDir = join(folder, "documents");
  const mailDir = join(folder, "mail");
  // What is written goes into a folder of its own. Documents that a mail attaches are still read where they are.
  const handler = await handlerOf(seal, service, job.type, {
    ...settings,
    smtpUrl: null,
    production: false,
    mailDir,
    ...(isBuiltIn && job.type === "pdf.generate" ? { documentsDir } : {}),
  });
  const ledger = await seal.as("program", () => listEffects(database, job.id));

  const app = appTransactions(service, limitMs);
  const rollback = openRollback(seal, app.inTransaction);
  const noted = noteNothing();
  const logs: ReplayReport["logs"][number][] = [];
  const notes: string[] = [];
  const enqueued: EnqueuedJob[] = [];
  const seen: { output: unknown; thrown: unknown; crash: unknown } = { output: undefined, thrown: undefined, crash: undefined };
  const watched: Handler = {
    contract: handler.contract,
    async run(output, context) {
      seen.output = output;
      try {
        return await handler.run(output, recording(context, enqueued));
      } catch (error) {
        seen.thrown = error;
        throw error;
      }
    },
  };
  const end = new AbortController();
  const over = () => end.abort(new AttemptEnded("timed_out", `not done within the ${limitMs} ms that the dry run was given`));
  const stop = () => end.abort(new AttemptEnded("stopping", "the dry run was stopped"));
  const timer = setTimeout(over, limitMs);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const onRejection = (reason: unknown) => void notes.push(`The handler left a rejected promise behind: ${failureOf(reason).message}`);
  const onCrash = (error: unknown) => {
    seen.crash = error;
    over();
  };
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onCrash);
  const startedAt = performance.now();
  let outcome: Outcome;
  try {
    seal.answer = answersFor(isBuiltIn ? job.type : "", job.payload, settings, answer);
    seal.letRead(service.databaseUrl);
    outcome = await seal.as("handler", () =>
      runJob(job, {
        handler: watched,
        end: endOfAttempts(end.signal),
        writes: notedWrites(noted, rollback, ledger),
        emit(event) {
          if (event.event === "job_logged") logs.push({ level: event.level, message: event.message, fields: event.fields });
          if (event.event === "job_failed_after_completion") notes.push(`The handler failed after ctx.complete, and the job is done all the same: ${event.failure.message}`);
        },
      }),
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    await rollback.end();
    await seal.as("program", () => app.close());
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onCrash);
  }
  const durationMs = Math.round(performance.now() - startedAt);

  const secrets = secretsIn(settings, service.databaseUrl);
  const known = JSON.stringify(job.payload) + job.id;
  const isMail = isBuiltIn && job.type === "email.send";
  // The result of a mail that is sent is what the server says; nobody has asked it.
  const given = outcome.kind === "completed" ? parsed(noted.result) : outcome.kind === "done" && !(isMail && settings.smtpUrl !== null) ? parsed(outcome.result) : null;
  const result = located(located(given, documentsDir, settings.documentsDir), mailDir, settings.mailDir);
  const mails = isMail ? await mailsIn(mailDir, seen.output as Email) : []; // it has passed that type's schema
  const failed = outcome.kind === "retried" || outcome.kind === "dead" ? outcome : null;
  const unfinished = failed?.timedOut === true && end.signal.aborted;
  return {
    dryRun: true,
    job: { id: job.id, type: job.type, status: stored.status, attempts: stored.attempts, attempt: job.attempt, maxAttempts: job.maxAttempts, version: job.version },
    outcome: seen.crash !== undefined ? "crashed" : unfinished ? "unfinished" : failed !== null && isOfSeal(seal, seen.thrown) ? "unknown" : kindOf(outcome),
    failure: seen.crash !== undefined ? failureOf(seen.crash) : (failed?.failure ?? null),
    delayMs: outcome.kind === "retried" || outcome.kind === "snoozed" ? outcome.delayMs : null,
    timedOut: failed?.timedOut ?? false,
    durationMs,
    completed: noted.completed,
    result: reveal ? result : redact(result),
    requests: seal.requests.map((request) => shownRequest(request, secrets, known, reveal)),
    mails,
    files: await filesIn(documentsDir, settings.documentsDir, result),
    writes: rollback.writes,
    enqueued: byType(enqueued),
    effects: noted.effects,
    checkpoints: noted.checkpoints.map(({ bytes }) => ({ bytes })),
    progress: noted.progress,
    logs,
    refused: seal.refusals,
    readers: seal.readers.count,
    notes: [
      ...notes,
      ...(stored.status === "processing" ? ["A worker runs this job at this moment."] : []),
      ...(job.version > handler.contract.version ? [`The job is of version ${job.version}, and this program knows ${handler.contract.version}: a worker of it would leave the job to newer ones.`] : []),
      ...[...seal.unknownNames].map((name) => `The name "${name}" could not be looked up here; it was taken for some public address.`),
      ...(mails.length > 0 && settings.smtpUrl !== null ? ["The mail was built and not handed to the mail server, which may refuse it."] : []),
      ...ledger.filter(({ name, state }) => state !== "done" && !noted.effects.some((effect) => effect.name === name)).map(({ name, attempt }) => `Effect "${name}" was begun in attempt ${attempt} and is not finished: a real attempt may end as in doubt.`),
    ],
  };
}

async function handlerOf(seal: Seal, service: Service, type: string, settings: Service["settings"]): Promise<Handler> {
  if (!service.handlers.some((entry) => typeOf(entry) === type)) {
    throw new OutboxError("CONFIGURATION", `There is no handler for "${type}" here. ${type.startsWith("payment.") ? "Set PAYMENT_API_KEY." : type === "email.send" ? "Set SMTP_URL; in production mail is not written into files." : "Add one in outbox.config.ts."}`);
  }
  let problem: unknown = null;
  const handler = await seal.as("loader", () => createRegistry(handlersOf(settings)).handlerOf(type, (error) => (problem = error)));
  if (handler !== null) return handler;
  throw new OutboxError("CONFIGURATION", `The handler of "${type}" does not load: ${failureOf(problem).message}`, { cause: problem });
}

/** It failed at something that a real attempt would have been let do. */
function isOfSeal({ refusals }: Seal, thrown: unknown): boolean {
  if (refusals.length > 0) return true;
  for (let cause: unknown = thrown; cause instanceof Error; cause = cause.cause) {
    if (/cannot execute .* in a read-only transaction/.test(cause.message)) return true;
  }
  return false;
}

function kindOf({ kind }: Outcome): ReplayReport["outcome"] {
  if (kind === "completed") return "done";
  return kind === "done" || kind === "retried" || kind === "dead" || kind === "snoozed" ? kind : "stopped";
}

const parsed = (json: string | null): unknown => (json === null ? null : JSON.parse(json));

function byType(jobs: readonly EnqueuedJob[]): ReplayReport["enqueued"] {
  return [...new Set(jobs.map(({ type }) => type))].map((type) => {
    const some = jobs.filter((each) => each.type === type);
    const channels = type === "notification.deliver" ? some.flatMap(({ payload }) => (typeof payload === "object" && payload !== null && "channel" in payload ? [String(payload.channel)] : [])) : [];
    return { type, count: some.length, channels };
  });
}
