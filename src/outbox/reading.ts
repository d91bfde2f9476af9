// A transaction that can change nothing and ends in time, for what people ask.

import type { Database, Sql } from "./database.ts";
import { OutboxError } from "./errors.ts";

const readTimeoutMs = 10_000;

/** Statements are planned as usual in it, by the values they come with; the engine's own connections plan differently. */
export async function reading<Value>(database: Database, work: (sql: Sql) => Promise<Value>, timeoutMs = readTimeoutMs): Promise<Value> {
  try {
    return await database.transaction(async (tx) => {
      await tx.query("set transaction read only");
      await tx.query(`set local statement_timeout = ${timeoutMs}`);
      return work(tx);
    });
  } catch (error) {
    throw isTimeout(error) ? tooSlow("The search", timeoutMs, error) : error;
  }
}

/** Postgres has ended a statement because its time was up: ours, or a shorter one of the role's where ours cannot be set. */
export function isTimeout(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "57014";
}

export function tooSlow(what: string, timeoutMs: number, cause: unknown): OutboxError {
  return new OutboxError("TOO_SLOW", `${what} took longer than ${timeoutMs / 1000} s and was ended. Indexes serve id, owner, dedupe key, ordering key, tag, and the status error; name one of them beside the others.`, { cause });
}
