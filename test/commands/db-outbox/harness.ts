// Runs `db outbox` as a test sees it: streams in memory, jobs by plain SQL.

import { PassThrough } from "node:stream";
import type pg from "pg";
import type { DbOutboxRequest } from "../../../src/commands/db-outbox.ts";
import { dbOutbox } from "../../../src/commands/db-outbox.ts";
import type { CommandIo } from "../../../src/commands/output.ts";

export interface Terminal {
  readonly stdin?: string | Buffer;
  /** Instead of `stdin`: called when the question is there, types what it returns. */
  readonly whenAsked?: () => Promise<string>;
  readonly tty?: boolean;
  readonly columns?: number;
}

export interface MemoryIo extends CommandIo {
  out(): string;
  err(): string;
}

/** `tty` makes all three streams a terminal. */
export function memoryIo({ stdin = "", whenAsked, tty = false, columns = 80 }: Terminal = {}): MemoryIo {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  if (whenAsked === undefined) input.end(stdin);
  const texts = { out: "", err: "" };
  output.on("data", (chunk: Buffer) => (texts.out += chunk.toString()));
  errors.on("data", (chunk: Buffer) => {
    texts.err += chunk.toString();
    if (whenAsked === undefined || !chunk.includes("[y/N]")) return;
    whenAsked().then(
      (answer) => input.end(answer),
      (error: unknown) => input.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  });
  return {
    stdin: input as unknown as NodeJS.ReadStream, // a stream without the methods of a terminal, which nobody calls
    stdout: output,
    stderr: errors,
    stdinIsTty: tty,
    stdoutIsTty: tty,
    stderrIsTty: tty,
    columns,
    actor: "ada@example",
    out: () => texts.out,
    err: () => texts.err,
  };
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** The sentence of the error that was thrown, or "". */
  readonly refusal: string;
  /** Its code, or "". */
  readonly refusalCode: string;
}

/** Runs `db outbox <operation> <input>`; a refusal is part of the answer, with the exit code that its code stands for. */
export async function run(url: string, operation: string, input?: unknown, flags: Partial<DbOutboxRequest> = {}, terminal: Terminal = {}): Promise<Ran> {
  const io = memoryIo(terminal);
  const request = {
    operation,
    input: input === undefined || typeof input === "string" ? input : JSON.stringify(input),
    reveal: false,
    dryRun: false,
    yes: false,
    confirm: null,
    reason: null,
    json: false,
    ndjson: false,
    quiet: false,
    noInput: false,
    ...flags,
  };
  try {
    const code = await dbOutbox(request, io, { url });
    return { code, out: io.out(), err: io.err(), refusal: "", refusalCode: "" };
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    return { code: error.code === "USAGE" ? 2 : 1, out: io.out(), err: io.err(), refusal: error.message, refusalCode: String(error.code) };
  }
}

export type Columns = Readonly<Record<string, unknown>>;

/** Inserts one job and returns its id. */
export async function insertJob(pool: pg.Pool, columns: Columns = {}): Promise<string> {
  const row = { type: "email.send", payload: { to: "ada@example.com" }, ...columns };
  const names = Object.keys(row);
  const values = Object.entries(row).map(([name, value]) => (name === "payload" || name === "result" ? JSON.stringify(value) : value));
  const { rows } = await pool.query<{ id: string }>(
    `insert into outbox (${names.join(", ")}) values (${names.map((_, index) => `$${index + 1}`).join(", ")}) returning id`,
    values,
  );
  return rows[0]!.id;
}

export async function statusCounts(pool: pg.Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ status: string; count: number }>("select status, count(*)::int as count from outbox group by status");
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}
