// Which refusals of Postgres are final for a sync: the same rows would be refused again.

import { FinalError } from "../../outbox/errors.ts";

/** Wrong values (22), constraints (23), wrong or missing names and rights (42), too deep or too large (54). */
const finalClasses = new Set(["22", "23", "42", "54"]);

/** The error to throw for what writing to `table` threw: a FinalError with Postgres' words, or the error as it was. */
export function refusedBy(table: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string" || !/^[0-9A-Z]{5}$/.test(error.code)) return error;
  if (!finalClasses.has(error.code.slice(0, 2))) return error;
  const column = "column" in error && typeof error.column === "string" ? `, column "${error.column}"` : "";
  const constraint = "constraint" in error && typeof error.constraint === "string" ? `, constraint "${error.constraint}"` : "";
  // "There is no unique or exclusion constraint …" does not say what to do.
  const advice = error.code === "42P10" ? " The key of the endpoint needs a unique index on exactly its columns." : "";
  return new FinalError(`Expected rows that the table ${table} takes, but Postgres refused: ${error.message} (${error.code}${column}${constraint}). Nothing was written.${advice}`, { cause: error });
}
