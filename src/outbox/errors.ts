// Every error that users meet: a closed `code` for machines, a sentence for people.

/** The codes of all errors that this package throws. */
export type ErrorCode =
  | "NOT_IN_TRANSACTION"
  | "INVALID_PAYLOAD"
  | "PAYLOAD_TOO_LARGE"
  | "INVALID_OPTION"
  | "LEASE_LOST"
  | "DUPLICATE_HANDLER"
  | "CONFIGURATION"
  | "DATABASE_UNREACHABLE"
  | "MIGRATION"
  | "USAGE"
  | "NOT_FOUND";

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
