// What is answered when a request cannot be: application/problem+json (RFC 9457), with a closed `code` for machines and
// one sentence for people. What nobody expected is answered without a word of what it was: that goes to the app's log.

import { OutboxError, PayloadError } from "../outbox/errors.ts";
import { isTransient } from "../outbox/transient.ts";

export const problemStatuses = {
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  timeout_of_body: 408,
  conflict: 409,
  locked: 409,
  too_large: 413,
  unsupported_media_type: 415,
  payload_refused: 422,
  internal: 500,
  busy: 503,
  database_unavailable: 503,
  too_slow: 504,
} as const;

export type ProblemCode = keyof typeof problemStatuses;

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

export interface ProblemMore {
  /** Where in the request the fault is: `payload.items[2].dueAt`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly status: number;
  readonly path: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, detail: string, { path, headers = {}, cause }: ProblemMore = {}) {
    super(detail, { cause });
    this.code = code;
    this.status = problemStatuses[code];
    this.path = path;
    this.headers = headers;
  }
}

/** The document that is sent. */
export function problemDocument({ code, status, message, path }: Problem, requestId: string): Record<string, unknown> {
  return { type: "about:blank", title: titles[status] ?? "Error", status, detail: message, code, requestId, ...(path !== undefined && { path }) };
}

/** Seconds after which a database that was away may be back. */
const retryAfterSeconds = "5";

/** Any error as what may be said of it to whoever asked. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PayloadError) return new Problem("payload_refused", error.message, { path: error.path, cause: error });
  if (error instanceof OutboxError) return ofOutbox(error);
  if (isTransient(error)) {
    return new Problem("database_unavailable", "The database did not answer, or was too busy. Try again.", { headers: { "retry-after": retryAfterSeconds }, cause: error });
  }
  return internal(error);
}

function ofOutbox(error: OutboxError): Problem {
  const { code, message } = error;
  switch (code) {
    case "INVALID_OPTION":
    case "USAGE":
      return new Problem("invalid_request", message, { cause: error });
    case "INVALID_PAYLOAD":
      return new Problem("payload_refused", message, { cause: error });
    case "PAYLOAD_TOO_LARGE":
      return new Problem("too_large", message, { cause: error });
    case "NOT_FOUND":
      return new Problem("not_found", message, { cause: error });
    case "CONFLICT":
      return new Problem("conflict", message, { cause: error });
    case "TOO_SLOW":
      return new Problem("too_slow", message, { cause: error });
    case "DATABASE_UNREACHABLE":
      return new Problem("database_unavailable", "The database cannot be reached. Try again.", { headers: { "retry-after": retryAfterSeconds }, cause: error });
    case "NOT_IN_TRANSACTION":
    case "INVALID_TRANSITION":
    case "LEASE_LOST":
    case "DUPLICATE_HANDLER":
    case "CONFIGURATION":
    case "MIGRATION":
      return internal(error);
  }
}

function internal(cause: unknown): Problem {
  return new Problem("internal", "Something went wrong here. The log of the server has it, by the request id.", { cause });
}
