// What every command is given, and how its errors become sentences and exit codes.

import { hostname } from "node:os";
import { OutboxError } from "../outbox/errors.ts";
import { isTransient } from "../outbox/transient.ts";
import type { Settings } from "../service/config.ts";
import { messageOf, unreachable } from "../service/database.ts";
import { sourceStack } from "../service/source-stack.ts";
import { invoker, loadSettings } from "../service/config.ts";
import type { CommandIo } from "./output.ts";
import { visible } from "../service/visible.ts";

export const exitCodes = { ok: 0, unexpected: 1, usage: 2, jobsFailed: 3, checkFailed: 4, notFound: 5, unreachable: 69, locked: 75, configuration: 78 } as const;

export interface CommandContext {
  readonly io: CommandIo;
  /** The folder of the program: where .env, outbox.config.ts and prisma/ are. */
  readonly root: string;
  settings(): Promise<Settings>;
  /** What the process will exit with. */
  exitWith(code: number): void;
  /** Changes `io` for what follows: the flags that every command has. */
  adapt(change: Partial<CommandIo>): void;
}

/** The process as commands see it. */
export function processIo(): CommandIo {
  const { stdin, stdout, stderr } = process;
  return {
    stdin,
    stdout,
    stderr,
    stdinIsTty: stdin.isTTY,
    stdoutIsTty: stdout.isTTY,
    stderrIsTty: stderr.isTTY,
    columns: stdout.isTTY ? stdout.columns : 80,
    color: stdout.isTTY && !invoker().noColor,
    actor: `${invoker().user}@${hostname()}`,
  };
}

export function createContext(io: CommandIo, root: string): CommandContext & { exitCode(): number } {
  let code: number = exitCodes.ok;
  let loading: Promise<Settings> | null = null;
  let adapted = io;
  return {
    get io() {
      return adapted;
    },
    adapt(change) {
      adapted = { ...adapted, ...change };
    },
    root,
    settings: () => (loading ??= loadSettings(root)),
    exitWith(next) {
      code = next;
    },
    exitCode: () => code,
  };
}

/** The sentence for people and the code for machines; only what nobody expected comes with its stack. */
export function explain(error: unknown): { sentence: string; exitCode: number } {
  if (error instanceof OutboxError) return { sentence: error.message, exitCode: exitCodeOf(error) };
  const sqlState = error instanceof Error && "code" in error ? error.code : null;
  if (sqlState === "40P01" || sqlState === "40001" || sqlState === "55P03") {
    return { sentence: `The database was too busy with the same rows: ${visible(messageOf(error))}. That statement has changed nothing; try again.`, exitCode: exitCodes.unexpected };
  }
  if (isTransient(error)) {
    return { sentence: visible(unreachable(error)), exitCode: exitCodes.unreachable };
  }
  if (sqlState === "08P01") return { sentence: visible(unreachable(error)), exitCode: exitCodes.configuration };
  if (sqlState === "42P01" || sqlState === "42703" || sqlState === "42883") {
    return { sentence: `The database is not migrated: ${visible(messageOf(error))}. Run \`npm run app:cli migrate\`.`, exitCode: exitCodes.configuration };
  }
  if (sqlState === "28P01" || sqlState === "28000" || sqlState === "3D000") {
    return { sentence: `The database refuses the connection: ${visible(messageOf(error))}. Check DATABASE_URL.`, exitCode: exitCodes.configuration };
  }
  return { sentence: `Unexpected error: ${error instanceof Error ? sourceStack(error.stack ?? error.message) : visible(String(error))}`, exitCode: exitCodes.unexpected };
}

function exitCodeOf(error: OutboxError): number {
  switch (error.code) {
    case "USAGE":
    case "INVALID_OPTION":
    case "CONFLICT":
      return exitCodes.usage;
    case "CONFIGURATION":
    case "MIGRATION":
    case "DUPLICATE_HANDLER":
      return exitCodes.configuration;
    case "NOT_FOUND":
      return exitCodes.notFound;
    case "DATABASE_UNREACHABLE":
      return exitCodes.unreachable;
    case "NOT_IN_TRANSACTION":
    case "INVALID_PAYLOAD":
    case "PAYLOAD_TOO_LARGE":
    case "LEASE_LOST":
    case "INVALID_TRANSITION":
    case "TOO_SLOW":
      return exitCodes.unexpected;
  }
}
