// How every command prints. stdout is data: a table on a terminal, TSV when piped, JSON when asked. stderr is messages.
// Next: service/visible.ts (nothing in the data reaches the terminal as a command), output/table.ts.

import { colored, plain } from "./output/colors.ts";
import { tableLines } from "./output/table.ts";
import { visible, visibleJson } from "../service/visible.ts";

/** What a command may touch of the process it runs in. */
export interface CommandIo {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly stdinIsTty: boolean;
  readonly stdoutIsTty: boolean;
  readonly stderrIsTty: boolean;
  /** Width of the terminal. */
  readonly columns: number;
  /** Who is at the keyboard, for the ledger: user@host. */
  readonly actor: string;
  /** Whether colours are wanted on stdout. */
  readonly color?: boolean;
  /** Whether the person asked for no notices. */
  readonly quiet?: boolean;
}

export interface Format {
  /** Exactly one JSON document. */
  readonly json: boolean;
  /** One JSON document a line. */
  readonly ndjson: boolean;
  /** Leaves the notices on stderr out. */
  readonly quiet?: boolean;
}

export type OutputRow = Readonly<Record<string, unknown>>;

/**
 * Prints rows. `columns` gives the order of a table's columns, the most important first, because a narrow terminal
 * shows only the first ones; without it, the keys of the rows in their order. No rows: nothing (as JSON: `[]`) and a note.
 */
export async function printRows(io: CommandIo, rows: readonly OutputRow[], format: Format, columns?: readonly string[]): Promise<void> {
  if (format.ndjson) return write(io.stdout, rows.map((row) => `${visibleJson(row)}\n`).join(""));
  if (format.json) return printDocument(io, rows);
  if (rows.length === 0) return note(io, format, "No rows.");
  const names = columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (!io.stdoutIsTty) {
    const lines = rows.map((row) => names.map((name) => cell(row[name])));
    return write(io.stdout, [names.map(visible), ...lines].map((cells) => `${cells.join("\t")}\n`).join(""));
  }
  const { lines, hidden } = tableLines(
    names.map((name) => ({ name: visible(name), cells: rows.map((row) => cell(row[name])), alignRight: rows.every((row) => isNumber(row[name])) })),
    // Some pseudo-terminals say that they have no columns.
    io.columns > 0 ? io.columns : 80,
    io.color === true ? colored : plain,
  );
  await write(io.stdout, `${lines.join("\n")}\n`);
  if (hidden.length > 0) await note(io, format, `Not shown for lack of width: ${hidden.join(", ")}. --json shows everything.`);
}

/** Prints one value: as it is, or with `json` or `ndjson` as one JSON document. Dates are ISO text, BigInts strings. */
export async function printValue(io: CommandIo, value: unknown, format: Format): Promise<void> {
  if (format.ndjson) return write(io.stdout, `${visibleJson(value)}\n`);
  if (format.json) return printDocument(io, value);
  return write(io.stdout, `${cell(value)}\n`);
}

/** A message to the person: on stderr, unless they asked for quiet. Text from data in it must be `visible`. */
export async function note(io: CommandIo, format: { readonly quiet?: boolean }, text: string): Promise<void> {
  if (format.quiet !== true && io.quiet !== true) await write(io.stderr, `${text}\n`);
}

async function printDocument(io: CommandIo, value: unknown): Promise<void> {
  return write(io.stdout, `${visibleJson(value, io.stdoutIsTty ? 2 : 0)}\n`);
}

/** A value as one cell on one line. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return visible(value);
  if (value instanceof Date) return value.toISOString();
  return typeof value === "bigint" ? String(value) : visibleJson(value);
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || typeof value === "bigint";
}

/** Resolves when the stream has taken the text, so that nothing is cut off when the process ends right after. */
export async function write(stream: NodeJS.WritableStream, text: string): Promise<void> {
  if (text === "") return;
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => {
      // The reader has gone (`| head`): it has what it wanted.
      if (error && !("code" in error && error.code === "EPIPE")) reject(error);
      else resolve();
    });
  });
}
