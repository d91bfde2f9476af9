// A failure as the outbox stores it, made into an Error again, so that test runners show its stack.

import type { Failure } from "../outbox/job.ts";

export function errorOf({ errorClass, message, stack }: Failure): Error {
  const error = new Error(message);
  error.name = errorClass;
  error.stack = stack ?? `${errorClass}: ${message}`;
  return error;
}
