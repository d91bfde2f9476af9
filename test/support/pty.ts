// Runs the command line in a terminal as people do: a pseudo-terminal in which keys are pressed, and a screen that is read.
//   const terminal = start(["jobs:prune", "--older-than", "1h"], { DATABASE_URL });
//   await terminal.seen("[y/N]");  terminal.type("y\r");  await terminal.ended;

import { spawn } from "@lydell/node-pty";
import xterm from "@xterm/headless";
import { launcher, root } from "./cli.ts";

const timeLimitMs = 60_000;

/** What these keys send. Enter is "\r", as on any terminal. */
export const keys = { enter: "\r", ctrlC: "\u0003", ctrlD: "\u0004", tab: "\t" } as const;

export interface InTerminal {
  /** Presses keys. */
  type(text: string): void;
  /** What stands on the screen, with what has scrolled out of it, without the blanks at the ends of lines and the empty lines at the end. */
  screen(): string;
  /** Every byte that was written, as text: for colours, and for what a later line has overwritten. */
  written(): string;
  /** Comes back with what has matched, as soon as it stands on the screen. */
  seen(text: string | RegExp): Promise<string>;
  resize(columns: number): void;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<{ readonly code: number; readonly signal: number; readonly screen: string; readonly written: string }>;
}

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly cwd?: string;
  /** Instead of our command line: another program, with `args` for it. */
  readonly program?: string;
}

/** The command line in a terminal; anything that npm or a test runner has put into the environment is left out. */
export function start(args: readonly string[], env: Record<string, string> = {}, { columns = 100, rows = 40, cwd = root, program }: TerminalOptions = {}): InTerminal {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|TEST|NODE_|DATABASE_URL|SMTP_URL|LOG_|JOBS_|CI$|NO_COLOR|FORCE_COLOR)/.test(name)));
  const [file, ...before] = program === undefined ? [process.execPath, launcher] : [program];
  const child = spawn(file, [...before, ...args], { name: env.TERM ?? "xterm-256color", cols: columns, rows, cwd, env: { ...inherited, ...env } });
  const terminal = new xterm.Terminal({ cols: columns, rows, scrollback: 10_000, allowProposedApi: true });
  let written = "";
  const watchers = new Set<() => void>();
  child.onData((text) => {
    written += text;
    // The screen has it only when this calls back.
    terminal.write(text, () => {
      for (const watch of watchers) watch();
    });
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), timeLimitMs);
  const ended = new Promise<Awaited<InTerminal["ended"]>>((resolve) => {
    child.onExit(({ exitCode, signal = 0 }) => {
      clearTimeout(limit);
      terminal.write("", () => resolve({ code: exitCode, signal, screen: screen(), written }));
    });
  });

  function screen(): string {
    const { active } = terminal.buffer;
    let text = "";
    for (let row = 0; row < active.length; row += 1) {
      const line = active.getLine(row);
      // A line that was too long for the terminal is one line all the same.
      text += `${row === 0 || line?.isWrapped === true ? "" : "\n"}${line?.translateToString(true) ?? ""}`;
    }
    return text.trimEnd();
  }

  return {
    ended,
    screen,
    written: () => written,
    type: (text) => child.write(text),
    kill: (signal) => child.kill(signal),
    resize(next) {
      child.resize(next, rows);
      terminal.resize(next, rows);
    },
    seen: (text) =>
      new Promise((resolve, reject) => {
        const watch = () => {
          const all = screen();
          const found = typeof text === "string" ? (all.includes(text) ? text : undefined) : text.exec(all)?.[0];
          if (found === undefined) return;
          watchers.delete(watch);
          resolve(found);
        };
        watchers.add(watch);
        watch();
        void ended.then(({ code, screen: last }) => reject(new Error(`it ended with ${code} before ${String(text)} was on the screen:\n${last}`)), reject);
      }),
  };
}
