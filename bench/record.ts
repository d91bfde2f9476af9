// Notes every statement that a process sends through pg while something runs, so that pgbench can send the same.

import { createRequire } from "node:module";
import pg from "pg";
import type { Statement } from "./operations.ts";

const require = createRequire(import.meta.url);
const { prepareValue } = require("pg/lib/utils.js") as { prepareValue: (value: unknown) => unknown }; // what the driver itself makes of values

export async function recorded(work: () => Promise<unknown>): Promise<Statement[]> {
  const statements: Statement[] = [];
  const client = pg.Client.prototype as { query: (...args: unknown[]) => unknown };
  const query = client.query;
  client.query = function (this: unknown, ...args) {
    const [first, second] = args;
    const { text, values } = typeof first === "string" ? { text: first, values: Array.isArray(second) ? second : [] } : (first as { text: string; values?: unknown[] });
    statements.push({ text, values: (values ?? []).map((value) => textOf(prepareValue(value))) });
    return query.apply(this, args);
  };
  try {
    await work();
  } finally {
    client.query = query;
  }
  return statements;
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  throw new Error(`Expected the driver to send text, got ${typeof value}.`);
}
