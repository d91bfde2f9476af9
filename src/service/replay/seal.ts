// Seals the process, so that a handler can be run for show: what it sends is recorded and answered by something made up, and
// every other way out is refused. Next: sockets.ts, sink.ts (who answers), processes.ts, names.ts.

import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import { sealNames } from "./names.ts";
import { sealProcesses } from "./processes.ts";
import { openReadOnlyProxy } from "./read-only-proxy.ts";
import type { Answer, HttpRequest } from "./sink.ts";
import { openSink } from "./sink.ts";
import { sealSockets } from "./sockets.ts";

/** Something that was not let out. */
export interface Refusal {
  readonly what: "connection" | "process" | "datagram" | "thread" | "exit";
  /** Where to, or which: "smtp.example.com:587", "convert". */
  readonly target: string;
}

/** What sealed code gets for an answer when it tries something that is refused. */
export class SealedError extends Error {
  override readonly name = "SealedError";
  constructor(what: string) {
    super(`The dry run refused ${what}.`);
  }
}

/** Who is at work: the program itself may do anything; what loads a handler may start its compiler; handlers are sealed in. */
type Party = "program" | "loader" | "handler";

export interface Seal {
  /** Runs `work`, and whatever it begins, as that party. Code that is of none is sealed in as handlers are. */
  as<Value>(party: Party, work: () => Value): Value;
  /** The outbox's database may be read from, by connections that cannot write. */
  letRead(databaseUrl: string): void;
  answer: (request: HttpRequest) => Answer;
  readonly requests: readonly HttpRequest[];
  readonly refusals: readonly Refusal[];
  /** Names that could not be looked up, and were taken for some public address. */
  readonly unknownNames: ReadonlySet<string>;
  /** Connections that read from the outbox's database. */
  readonly readers: { readonly count: number };
  /** Everything is as before. */
  lift(): Promise<void>;
}

export async function sealProcess(): Promise<Seal> {
  const party = new AsyncLocalStorage<Party>();
  const isSealed = () => party.getStore() !== "program";
  const refusals: Refusal[] = [];
  const refuse = (refusal: Refusal) => {
    refusals.push(refusal);
    return new SealedError(sentenceOf(refusal));
  };
  const requests: HttpRequest[] = [];
  const unknownNames = new Set<string>();
  const readers = { count: 0 };
  const seal = { answer: (): Answer => ({ status: 200, body: "{}" }) } as { answer: Seal["answer"] }; // set by whoever knows better
  const sink = await openSink({
    refuse: (target) => refuse({ what: "connection", target }),
    answer(request) {
      requests.push(request);
      return seal.answer(request);
    },
  });
  const proxy = await openReadOnlyProxy({
    asProgram: (work) => party.run("program", work),
    onReader: () => (readers.count += 1),
    refuse: (target) => refuse({ what: "connection", target }),
  });
  const lifts = [
    sealSockets({ isSealed, sink, proxy, refuse: (target) => refuse({ what: "connection", target }) }),
    sealProcesses({ isSealed, isHandler: () => party.getStore() === "handler", mayStart: () => party.getStore() === "loader", refuse }),
    sealNames({ isSealed, onUnknown: (name) => unknownNames.add(name) }),
    sealStdout(isSealed),
  ];
  syncBuiltinESMExports(); // `import { request } from "node:http"` sees it too
  return Object.assign(seal, {
    as: <Value>(who: Party, work: () => Value) => party.run(who, work),
    letRead: (url: string) => proxy.letRead(url),
    requests,
    refusals,
    unknownNames,
    readers,
    async lift() {
      for (const lift of lifts) lift();
      syncBuiltinESMExports();
      await Promise.all([sink.close(), proxy.close()]);
    },
  });
}

function sentenceOf({ what, target }: Refusal): string {
  switch (what) {
    case "connection":
      return `a connection to ${target}: in it only HTTP requests are answered`;
    case "process":
      return `to start a process: ${target}`;
    case "datagram":
      return `a datagram to ${target}`;
    case "thread":
      return `to start a thread: ${target}`;
    case "exit":
      return `to end the process (${target})`;
  }
}

/** stdout is for the report: what a handler prints goes to stderr. */
function sealStdout(isSealed: () => boolean): () => void {
  const { stdout, stderr } = process;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own stream below
  const { write } = stdout;
  stdout.write = function (this: typeof stdout, ...args: Parameters<typeof write>) {
    return isSealed() ? stderr.write(...args) : Reflect.apply(write, stdout, args);
  } as typeof write; // of all its overloads
  return () => void (stdout.write = write);
}
