// How doctor looks at a database: every statement in a read-only transaction of its own, with a time limit, so that
// nothing is ever written and no check waits for anybody. What a look came to, if not to rows, is a finding too.

import type { Database, Sql } from "../../outbox/database.ts";
import { messageOf } from "../database.ts";
import { visible } from "../visible.ts";

/** How long one statement may take, and how long it may wait for a lock. */
const statementMs = 4000;
const lockMs = 500;

export function readOnly(database: Database): Sql {
  return {
    query: (text, values) =>
      database.transaction(async (tx) => {
        await tx.query(`set transaction read only; set local statement_timeout = ${statementMs}; set local lock_timeout = ${lockMs}`);
        return tx.query(text, values);
      }),
  };
}

/** From nothing to be said to something that must be mended: the exit code is 4 for the last alone. */
export const severities = ["ok", "notice", "warning", "problem"] as const;
export type Severity = (typeof severities)[number];

export interface Finding {
  readonly check: string;
  readonly severity: Severity;
  /** What was seen, for people; text from the database in it is visible. */
  readonly evidence: string;
  /** What to do: SQL or a command line, to be read before it is run. Null: nothing, or the evidence says it. */
  readonly fix: string | null;
}

/** A finding as a check makes it; the runner adds the check's name. */
export type Seen = Omit<Finding, "check">;

export const ok = (evidence: string): Seen => ({ severity: "ok", evidence, fix: null });
export const notice = (evidence: string, fix: string | null = null): Seen => ({ severity: "notice", evidence, fix });
export const warning = (evidence: string, fix: string | null = null): Seen => ({ severity: "warning", evidence, fix });
export const problem = (evidence: string, fix: string | null = null): Seen => ({ severity: "problem", evidence, fix });

/** What a check that did not come to its end has to say. It never hides the others. */
export function unseen(error: unknown, role: string): Seen {
  const code = error instanceof Error && "code" in error ? error.code : null;
  const message = visible(messageOf(error));
  if (code === "42501") return notice(`${quotedName(role)} may not look: ${message}.`, grantFor(message, role));
  if (code === "57014" || code === "55P03") return notice(`not looked at: it would have taken longer than ${statementMs / 1000} s (${message}).`);
  if (code === "42P01" || code === "42703" || code === "42883") return notice(`not looked at: ${message}; see the findings on migrations and schema.`);
  return warning(`the check itself failed: ${message}.`);
}

/** "permission denied for table x" is Postgres's sentence in English; in other languages the sentence alone must do. */
function grantFor(message: string, role: string): string | null {
  const [, kind, name] = /permission denied for (table|view|schema|function) (\S+)/.exec(message) ?? [];
  if (kind === undefined || name === undefined) return null;
  const right = { table: "select on", view: "select on", schema: "usage on schema", function: "execute on function" }[kind] ?? "";
  return `grant ${right} ${quotedName(name)} to ${quotedName(role)};`;
}

/** An identifier as SQL has it. */
export function quotedName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A text as SQL has it. */
export function quotedText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** "3 hours", "12 s": how long something has been so, in the unit in which people would say it. */
export function spoken(ms: number): string {
  const [size, unit] = ([[86_400_000, "days"], [3_600_000, "hours"], [60_000, "minutes"]] as const).find(([each]) => ms >= 2 * each) ?? [1000, "s"];
  return `${Math.round(ms / size)} ${unit}`;
}
