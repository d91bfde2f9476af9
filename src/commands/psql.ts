// psql as a child of ours, on our terminal. The password goes by the environment: arguments are shown to everyone by ps.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { OutboxError } from "../outbox/errors.ts";
import { failureOf } from "../outbox/failure.ts";
import { environmentWith } from "../service/config.ts";

/** Throws, with what to type instead, when psql cannot be run here. */
export async function requirePsql(): Promise<void> {
  try {
    await ended("psql", ["--version"], { stdio: "ignore" });
  } catch (cause) {
    throw new OutboxError(
      "CONFIGURATION",
      `Expected psql to be installed: ${failureOf(cause).message}.\n` +
        "  Debian, Ubuntu: sudo apt install postgresql-client    macOS: brew install libpq && brew link --force libpq\n" +
        "Or use any other client: `npm run app:cli db:start` keeps the server running and prints its URL.",
      { cause },
    );
  }
}

/** Gives back psql's exit code. */
export async function runPsql(url: string, args: readonly string[]): Promise<number> {
  const { hostname, port, username, password, pathname } = new URL(url);
  const env = environmentWith({
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
  });
  // Ctrl-C goes to both; psql cancels its statement and goes on, and so do we.
  const ignore = () => undefined;
  process.on("SIGINT", ignore);
  try {
    return await ended("psql", args, { stdio: "inherit", env });
  } finally {
    process.off("SIGINT", ignore);
  }
}

/** A program that a signal has ended has the exit code that a shell would give it. */
function ended(program: string, args: readonly string[], options: { stdio: "inherit" | "ignore"; env?: NodeJS.ProcessEnv }): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, options);
    const passOn = () => child.kill("SIGTERM");
    process.on("SIGTERM", passOn);
    child.once("error", (error) => {
      process.off("SIGTERM", passOn);
      reject(error);
    });
    child.once("exit", (code, signal) => {
      process.off("SIGTERM", passOn);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
