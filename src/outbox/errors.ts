// Every error that users meet: a closed `code` for machines, a sentence for people.

import { inspect } from "node:util";

/** The codes of all errors that this package throws. */
export type ErrorCode =
  | "NOT_IN_TRANSACTION"
  | "INVALID_PAYLOAD"
  | "PAYLOAD_TOO_LARGE"
  | "INVALID_OPTION"
  | "INVALID_TRANSITION"
  | "LEASE_LOST"
  | "DUPLICATE_HANDLER"
  | "CONFIGURATION"
  | "DATABASE_UNREACHABLE"
  | "MIGRATION"
  | "USAGE"
  | "NOT_FOUND"
  | "CONFLICT"
  | "TOO_SLOW";

export class OutboxError extends Error {
  override readonly name: string = "OutboxError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** `enqueue` was given something that is not a transaction, so the job could have been stored without the business write. */
export class NotInTransactionError extends OutboxError {
  override readonly name = "NotInTransactionError";
  constructor(got: string) {
    super(
      "NOT_IN_TRANSACTION",
      `Expected the transaction that the business write is in, got ${got}. ` +
        "Pass the tx of prisma.$transaction(async (tx) => …), or a pg client after BEGIN; for a job with no business write use enqueueAlone.",
    );
  }
}

/** A payload was refused before a byte of it was sent. `path` says where, for example `payload.items[2].dueAt`. */
export class PayloadError extends OutboxError {
  override readonly name = "PayloadError";
  readonly path: string;
  constructor(type: string, path: string, problem: string) {
    super("INVALID_PAYLOAD", `Job "${type}" was refused: ${path} ${problem}.`);
    this.path = path;
  }
}

export class PayloadTooLargeError extends OutboxError {
  override readonly name = "PayloadTooLargeError";
  constructor(type: string, bytes: number, maxBytes: number) {
    super(
      "PAYLOAD_TOO_LARGE",
      `Job "${type}" was refused: expected a payload of at most ${maxBytes} bytes as JSON, got ${bytes}. Store the data elsewhere and enqueue a reference to it.`,
    );
  }
}

/** Another worker has taken the job over; whatever this attempt still wanted to write is rolled back. */
export class LeaseLostError extends OutboxError {
  override readonly name = "LeaseLostError";
  constructor(jobId: string) {
    super("LEASE_LOST", `The lease on job ${jobId} was lost: another worker has it now, or an operator changed it. Nothing of this attempt was committed.`);
  }
}

/** Thrown by a handler: trying again is pointless. The job becomes a dead letter at once. */
export class FinalError extends Error {
  override readonly name: string = "FinalError";
}

/** A value as a message shows it: as JSON, or, for what JSON cannot carry, as a program would write it. */
export function shown(value: unknown): string {
  try {
    // Undefined is what JSON makes of undefined, a function and a symbol, whatever TypeScript says.
    const json: unknown = JSON.stringify(value);
    return typeof json === "string" ? json : inspect(value);
  } catch {
    return inspect(value, { depth: 1, breakLength: Infinity });
  }
}

/** From JavaScript a name that is misspelt would otherwise be ignored without a word. */
export function refuseUnknown(what: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new OutboxError("INVALID_OPTION", `Expected ${what} to be among ${known.join(", ")}, got "${unknown}".`);
}

/** An effect of the job was begun by an earlier attempt and not finished, and nothing tells whether it happened. */
export class InDoubtError extends FinalError {
  override readonly name = "InDoubtError";
  constructor(effect: string, key: string, attempt: number) {
    super(
      `Effect "${effect}" is in doubt: attempt ${attempt} began it and did not finish, so it may or may not have happened (its key is ${key}). ` +
        "Find out, say so with outbox.resolveEffect, and retry the job.",
    );
  }
}

/**
 * Thrown by a handler: try again, but not before the given time. Takes seconds, or the value of a Retry-After header
 * (seconds or an HTTP date); with nothing usable in it the job's ordinary backoff applies.
 */
export class RetryAfter extends Error {
  override readonly name = "RetryAfter";
  /** Milliseconds to wait; null when the header said nothing usable. */
  readonly delayMs: number | null;

  constructor(after: string | number | null | undefined, message = "asked to try again later", options?: ErrorOptions) {
    super(message, options);
    this.delayMs = retryAfterMs(after);
  }
}

const maxRetryAfterMs = 24 * 60 * 60 * 1000;

function retryAfterMs(after: string | number | null | undefined): number | null {
  if (after === null || after === undefined || after === "") return null;
  const seconds = Number(after);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(String(after)) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), maxRetryAfterMs) : null;
}

/** By name as well, because an app's handlers may throw the class of another copy of this package. */
export function isA(error: unknown, kind: typeof FinalError | typeof RetryAfter): error is Error {
  return error instanceof kind || (error instanceof Error && error.name === kind.name);
}
