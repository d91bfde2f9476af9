// Ways out of the process that are no connections: other programs, datagrams, threads (which would not be sealed), and the
// end of the process itself.

import childProcess from "node:child_process";
import dgram from "node:dgram";
import workerThreads from "node:worker_threads";
import type { Refusal } from "./seal.ts";

interface Options {
  readonly isSealed: () => boolean;
  /** Surely a handler: who stops the program from the keyboard is of no party, and may end it. */
  readonly isHandler: () => boolean;
  /** TypeScript is compiled by a program, or by a thread. */
  readonly mayStart: () => boolean;
  readonly refuse: (refusal: Refusal) => Error;
}

/** Gives back how to undo it. */
export function sealProcesses({ isSealed, isHandler, mayStart, refuse }: Options): () => void {
  const undo: (() => void)[] = [];

  /** In place of `object[name]`, which is called all the same when it is not sealed. */
  function seal(object: object, name: string, what: Refusal["what"], target: (self: unknown, args: readonly unknown[]) => string): void {
    const original: unknown = Reflect.get(object, name);
    if (typeof original !== "function") return; // this Node has none
    const starts = what === "process" || what === "thread";
    const open = () => (what === "exit" ? !isHandler() : !isSealed() || (starts && mayStart()));
    const guarded = new Proxy(original, {
      apply(called, self, args): unknown {
        if (open()) return Reflect.apply(called as () => unknown, self, args);
        throw refuse({ what, target: target(self, args) });
      },
      construct(called, args, newTarget) {
        if (open()) return Reflect.construct(called as () => unknown, args, newTarget) as object;
        throw refuse({ what, target: target(null, args) });
      },
    });
    Reflect.set(object, name, guarded);
    undo.push(() => Reflect.set(object, name, original));
  }

  // spawn, exec, execFile and fork all come here.
  seal(childProcess.ChildProcess.prototype, "spawn", "process", (_, [options]) => (typeof options === "object" && options !== null && "file" in options ? String(options.file) : "unknown"));
  for (const name of ["spawnSync", "execSync", "execFileSync"]) seal(childProcess, name, "process", (_, [file]) => String(file).slice(0, 200));
  seal(dgram.Socket.prototype, "send", "datagram", (_, args) => addressIn(args.slice(1)));
  seal(dgram.Socket.prototype, "connect", "datagram", (_, args) => addressIn(args));
  seal(workerThreads, "Worker", "thread", (_, [file]) => String(file).slice(0, 200));
  for (const name of ["exit", "abort", "kill", "reallyExit"]) seal(process, name, "exit", () => `process.${name}`);
  return () => {
    for (const each of undo) each();
  };
}

/** Of send(message, port, host) and send(message, offset, length, port, host): the port is the last number. */
function addressIn(args: readonly unknown[]): string {
  const port = args.findLast((arg) => typeof arg === "number");
  const host = args.find((arg) => typeof arg === "string") ?? "localhost";
  return `${host}:${port === undefined ? "its own port" : String(port)}`;
}
