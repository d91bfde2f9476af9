// What Prisma and Postgres report, as the sentence that helps: unreachable, not migrated, too slow.

import { OutboxError } from "../../outbox/errors.ts";
import { visible } from "../../service/visible.ts";

// Prisma's codes: https://www.prisma.io/docs/orm/reference/error-reference
const refused = new Set(["P1000", "P1010"]);
const unreachable = new Set(["P1001", "P1002", "P1003", "P1008", "P1011", "P1017"]);
const unmigrated = new Set(["P2021", "P2022"]);

/** The error to throw instead of `error`; what is not recognised comes back as it is. */
export function explain(error: unknown, url: string): unknown {
  if (!(error instanceof Error) || error instanceof OutboxError) return error;
  const { code, postgresCode } = codesOf(error);
  const at = place(url);
  if (postgresCode === "57014") {
    return new OutboxError("USAGE", "Postgres stopped the statement at its time limit; nothing was changed. Narrow the request: a smaller time range, a type, an id.", { cause: error });
  }
  if (code !== null && refused.has(code)) {
    return new OutboxError("CONFIGURATION", `The database at ${at} refused the user or the password of DATABASE_URL.`, { cause: error });
  }
  if (code !== null && unreachable.has(code)) {
    return new OutboxError("DATABASE_UNREACHABLE", `The database at ${at} cannot be reached: ${visible(lastLine(error.message))}. Check DATABASE_URL and that Postgres is running.`, { cause: error });
  }
  if (code !== null && unmigrated.has(code)) {
    return new OutboxError("MIGRATION", `The database at ${at} has no outbox, or an older one. Run: npm run app:cli migrate`, { cause: error });
  }
  if (code === "P2028") {
    return new OutboxError("USAGE", "The transaction reached its time limit and was rolled back; nothing was changed. Narrow the request.", { cause: error });
  }
  // pg words its own time limit for connecting; Prisma passes it on without a code.
  if (error.message.includes("timeout exceeded when trying to connect") || error.message.includes("Connection terminated")) {
    return new OutboxError("DATABASE_UNREACHABLE", `The database at ${at} cannot be reached: no connection within the time limit.`, { cause: error });
  }
  return error;
}

function codesOf(error: Error): { code: string | null; postgresCode: string | null } {
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  const cause = path(error, "meta", "driverAdapterError", "cause", "originalCode") ?? path(error, "cause", "originalCode");
  return { code, postgresCode: typeof cause === "string" ? cause : null };
}

function path(value: unknown, ...names: string[]): unknown {
  return names.reduce<unknown>((inner, name) => (typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>)[name] : undefined), value);
}

/** host:port/database, never the user or the password. */
function place(url: string): string {
  if (!URL.canParse(url)) return "DATABASE_URL";
  const { hostname, port, pathname } = new URL(url);
  return visible(`${hostname || "the local socket"}:${port || "5432"}${pathname}`);
}

function lastLine(message: string): string {
  return (message.trimEnd().split("\n").at(-1) ?? message).trim().replace(/\.$/, "");
}

/** Postgres broke a deadlock by rolling this transaction back. Nothing was changed, so it may be tried again. */
export function isConflict(error: unknown): boolean {
  return error instanceof Error && codesOf(error).code === "P2034";
}
