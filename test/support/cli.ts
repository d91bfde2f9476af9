// Runs commands as users do: in a child process, with a time limit, their output collected.

import type { ChildProcessByStdio } from "node:child_process";
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable } from "node:stream";

export const root = join(import.meta.dirname, "../..");
const timeLimitMs = 60_000;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Comes back with what has matched, as soon as it has been written to stdout or stderr. */
  seen(text: string | RegExp): Promise<string>;
  readonly ended: Promise<Ended>;
}

/** `npm run …` as the README types it; anything that npm or a test runner has put into the environment is left out. */
export function start(command: string, args: readonly string[], env: Record<string, string> = {}, cwd = root, limitMs = timeLimitMs): Running {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|TEST|NODE_|DATABASE_URL|SMTP_URL|LOG_)/.test(name)));
  const child = spawn(command, args, { cwd, env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  const watchers = new Set<() => void>();
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
      for (const watch of watchers) watch();
    });
  }
  const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      resolve({ code, signal, ...output });
    });
  });
  return {
    child,
    ended,
    seen: (text) =>
      new Promise((resolve, reject) => {
        const watch = () => {
          const all = output.stdout + output.stderr;
          const found = typeof text === "string" ? (all.includes(text) ? text : undefined) : text.exec(all)?.[0];
          if (found === undefined) return;
          watchers.delete(watch);
          resolve(found);
        };
        watchers.add(watch);
        watch();
        void ended.then(({ code, stderr }) => reject(new Error(`it ended with ${code} before it wrote ${String(text)}:\n${stderr}`)), reject);
      }),
  };
}

/** `npm run app:cli …`, typed so. */
export const npmCli = (args: readonly string[], env: Record<string, string> = {}) => start("npm", ["run", "-s", "app:cli", ...args], env).ended;

/** What `npm run app:cli` runs: the build that global-setup.ts has made, as long as it is fresh. */
export const launcher = join(root, "scripts/cli.js");

/** The command line without npm. */
export const cli = (args: readonly string[], env: Record<string, string> = {}) => start(process.execPath, [launcher, ...args], env).ended;

/** The built command line over the handlers of test/support/app, in a process of its own. */
export const appCli = (args: readonly string[], env: Record<string, string>, limitMs?: number) => start(process.execPath, [join(import.meta.dirname, "app/cli.js"), ...args], env, root, limitMs);
