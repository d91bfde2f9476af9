// `db outbox OP [JSON|-|@file]`: reads and guarded mutations of jobs in Prisma's own words, for people on call.
// The steps: db-outbox/read-input.ts, parse-json.ts, request.ts (the closed grammar), guards.ts, then read.ts or mutate.ts.

import { openPrisma } from "../service/prisma.ts";
import { explain } from "./db-outbox/failures.ts";
import type { FieldName } from "./db-outbox/fields.ts";
import { fieldNames } from "./db-outbox/fields.ts";
import { guard } from "./db-outbox/guards.ts";
import { checkConsent, mutate } from "./db-outbox/mutate.ts";
import { parseJson } from "./db-outbox/parse-json.ts";
import type { Answer } from "./db-outbox/read.ts";
import { read } from "./db-outbox/read.ts";
import { readInput } from "./db-outbox/read-input.ts";
import { redactRow } from "../service/redact.ts";
import type { Request } from "./db-outbox/request.ts";
import { expectOperation, parseRequest } from "./db-outbox/request.ts";
import type { CommandIo, OutputRow } from "./output.ts";
import { note, printRows, printValue } from "./output.ts";

export interface DbOutboxRequest {
  readonly operation: string;
  /** The JSON argument, "-" for stdin or "@file". */
  readonly input: string | undefined;
  /** Shows values that look like secrets. */
  readonly reveal: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** The number of jobs that the person expects to change. */
  readonly confirm: number | null;
  /** Why, for the ledger. */
  readonly reason: string | null;
  readonly json: boolean;
  readonly ndjson: boolean;
  readonly quiet: boolean;
  readonly noInput: boolean;
}

/** Runs the command and returns its exit code. What the person has to mend is thrown as an OutboxError, code USAGE. */
export async function dbOutbox(request: DbOutboxRequest, io: CommandIo, database: { url: string }): Promise<number> {
  const operation = expectOperation(request.operation);
  const parsed = parseJson(await readInput(request.input, io, request.noInput), io.columns);
  const checked = parseRequest(operation, parsed);
  const isMutation = operation === "deleteMany" || operation === "updateMany";
  const call = isMutation ? { request, parsed, mutation: guard(checked), io } : null;
  if (call !== null) checkConsent(call);

  const client = await openPrisma(database.url);
  try {
    if (call !== null) return await mutate(client.prisma, call);
    await print(io, request, checked, await read(client.prisma, checked));
    return 0;
  } catch (error) {
    throw explain(error, database.url);
  } finally {
    await client.close();
  }
}

async function print(io: CommandIo, request: DbOutboxRequest, { args }: Request, answer: Answer): Promise<void> {
  const shown = (row: OutputRow): OutputRow => (request.reveal ? row : redactRow(row));
  const asJson = request.json || request.ndjson;
  switch (answer.kind) {
    case "count":
      return printValue(io, answer.count, request);
    case "row":
      if (asJson) return printValue(io, answer.row === null ? null : shown(answer.row), request);
      return printRows(io, answer.row === null ? [] : [flat(shown(answer.row))], request, order(answer.row, args));
    case "rows":
      await printRows(io, asJson ? answer.rows.map(shown) : answer.rows.map((row) => flat(shown(row))), request, order(answer.rows[0] ?? null, args));
      if (answer.notice !== null) await note(io, request, answer.notice);
  }
}

/** A table's columns: as they were selected, or, for whole jobs, the most telling ones first. */
function order(row: OutputRow | null, args: Request["args"]): readonly string[] | undefined {
  if (row === null) return undefined;
  if ("select" in args) return Object.entries(args.select as Record<string, boolean>).flatMap(([name, wanted]) => (wanted ? [name] : [])); // flags() made it
  return fieldNames.every((name: FieldName) => name in row) ? fieldNames : undefined;
}

/** `{"_count":{"id":5}}` as the column `_count.id`. */
function flat(row: OutputRow): OutputRow {
  const entries = Object.entries(row).flatMap(([name, value]): [string, unknown][] =>
    name.startsWith("_") && typeof value === "object" && value !== null ? Object.entries(value).map(([inner, item]) => [`${name}.${inner}`, item]) : [[name, value]],
  );
  return Object.fromEntries(entries);
}
