// The processes of a chaos run: drains again and again, as cron does, and workers under a supervisor. What each printed
// is in files, which stay when the run fails; how it ended is kept for the verdict.

import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../support/cli.ts";
import type { PlannedProcess } from "./plan.ts";

/** One process from its start to its end. */
export interface Run {
  readonly name: string;
  readonly kind: PlannedProcess["kind"];
  readonly pid: number;
  /** Signals that the rig has sent. */
  readonly sent: readonly NodeJS.Signals[];
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Seat {
  readonly planned: PlannedProcess;
  /** Sends it to whoever sits there; waits a little for somebody to come. Null: nobody did. */
  send(signal: NodeJS.Signals): Promise<ChildProcess | null>;
  readonly runs: Run[];
  /** Lets the last one end: a worker is told to, a drain does so by itself. Throws when it does not, in a time that is longer on a slow machine. */
  stop(slowness: number): Promise<void>;
  /** Ends it at once, whatever it does. */
  kill(): Promise<void>;
}

const program = join(root, "test/support/app/cli.js");
const supervisorMs = 100;
const emptySeatMs = 2000;
const graceMs = 2000;
/** What a process may need to end beside its grace: a drain waits 10 s for jobs whose rows are held. */
const endMs = 15_000;

export function seat(planned: PlannedProcess, env: Record<string, string>, folder: string): Seat {
  const runs: Run[] = [];
  let stopping = false;
  let child: ChildProcess | null = null;
  let sent: NodeJS.Signals[] = [];
  const isStopping = () => stopping;

  async function sit(): Promise<void> {
    for (let number = 1; !isStopping(); number += 1) {
      runs.push(await once(number));
      if (!isStopping()) await sleep(planned.kind === "drain" ? planned.pollMs : supervisorMs);
    }
  }

  async function once(number: number): Promise<Run> {
    const paths = { stdout: join(folder, `${planned.name}.${number}.out`), stderr: join(folder, `${planned.name}.${number}.err`) };
    const [out, err] = await Promise.all([open(paths.stdout, "w"), open(paths.stderr, "w")]);
    const startedAt = new Date();
    const started = spawn(process.execPath, [program, ...argumentsOf(planned)], { cwd: root, env: { ...inherited(), ...env, LOG_FORMAT: "json", NODE_OPTIONS: "--trace-warnings" }, stdio: ["ignore", out.fd, err.fd] });
    child = started;
    sent = [];
    const ownSent = sent;
    const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
      started.on("error", reject);
      started.on("close", (code, signal) => resolve({ code, signal }));
    });
    child = null;
    await Promise.all([out.close(), err.close()]);
    const [stdout, stderr] = await Promise.all([readFile(paths.stdout, "utf8"), readFile(paths.stderr, "utf8")]);
    return { name: `${planned.name}.${number}`, kind: planned.kind, pid: started.pid ?? 0, sent: ownSent, startedAt, endedAt: new Date(), code, signal, stdout, stderr };
  }

  const sitting = sit();
  sitting.catch(() => undefined); // thrown by stop, which awaits it
  return {
    planned,
    runs,
    async send(signal) {
      for (const deadline = performance.now() + emptySeatMs; child === null && performance.now() < deadline; ) await sleep(10);
      const hit = child;
      if (hit?.kill(signal) !== true) return null;
      sent.push(signal);
      return hit;
    },
    async stop(slowness) {
      stopping = true;
      if (planned.kind === "worker" && child?.kill("SIGTERM") === true) sent.push("SIGTERM");
      await within(sitting, graceMs + endMs * slowness, () => `${planned.name} (pid ${child?.pid ?? 0}) to end${planned.kind === "worker" ? " after SIGTERM" : ", with nothing left to be done"}`);
    },
    async kill() {
      stopping = true;
      child?.kill("SIGKILL");
      await sitting;
    },
  };
}

function argumentsOf({ kind, leaseMs, batch, concurrency, pollMs }: PlannedProcess): string[] {
  const shared = ["--lease", `${leaseMs}ms`, "--batch", String(batch), "--concurrency", String(concurrency), "--drain-timeout", `${graceMs}ms`];
  return kind === "worker" ? ["jobs:worker", ...shared, "--poll", `${pollMs}ms`, "--verbose"] : ["jobs:drain", ...shared, "--json"];
}

function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|TEST|NODE_|DATABASE_URL|SMTP_URL|LOG_)/.test(name)));
}

/** Every wait has an end: after `limitMs` it is an error that says what was waited for. */
export async function within<Value>(wait: Promise<Value>, limitMs: number, what: () => string): Promise<Value> {
  const late = new AbortController();
  const limit = sleep(limitMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`waited ${limitMs / 1000} s in vain for ${what()}`);
  });
  limit.catch(() => undefined); // an abort, or the error that the race below has thrown
  try {
    return await Promise.race([wait, limit]);
  } finally {
    late.abort();
  }
}
