// Which handler runs which type. A lazy one is loaded when the first job of its type is claimed.

import { setTimeout as sleep } from "node:timers/promises";
import type { Contract, Handler, LazyHandler } from "./define.ts";
import { OutboxError } from "./errors.ts";

const loadTimeoutMs = 60_000;

export interface Registry {
  /** The types to be claimed: all that were asked for, without those whose handler turned out not to load, and those that are left. */
  types(): readonly string[];
  /** Leaves a type to others for so long. False: it was left already. */
  leave(type: string, forMs: number): boolean;
  /** Those that are known without loading a handler. */
  contracts(): Contract[];
  /** The contract of a type, as far as it is known yet. */
  contractOf(type: string): Contract | null;
  /** The newest version of each of these types that is known here; null: its handler is not loaded yet. */
  versionsOf(types: readonly string[]): (number | null)[];
  /** Types whose handler did not load. */
  readonly unloadable: ReadonlySet<string>;
  /** The handler; null when it does not load. `onFailure` is told why, once, and the type is claimed no more. */
  handlerOf(type: string, onFailure: (error: unknown) => void): Promise<Handler | null>;
}

export type HandlerEntry = Handler | LazyHandler;

export function typeOf(entry: HandlerEntry): string {
  return "load" in entry ? entry.type : entry.contract.type;
}

/** Two handlers for one type are refused, and so is a type without one. `types`: only these. */
export function createRegistry(entries: readonly HandlerEntry[], types?: readonly string[]): Registry {
  const all = new Map<string, HandlerEntry>();
  for (const entry of entries) {
    const type = typeOf(entry);
    if (all.has(type)) throw new OutboxError("DUPLICATE_HANDLER", `Expected one handler for each type, got two for "${type}".`);
    all.set(type, entry);
  }
  for (const type of types ?? []) {
    if (!all.has(type)) throw new OutboxError("CONFIGURATION", `Expected types with a handler (${[...all.keys()].join(", ")}), got "${type}".`);
  }
  const asked = [...new Set(types ?? all.keys())];
  const loading = new Map<string, Promise<Handler | null>>();
  const contracts = new Map<string, Contract>();
  const unloadable = new Set<string>();
  const leftUntil = new Map<string, number>();
  function isLeft(type: string): boolean {
    const until = leftUntil.get(type);
    if (until !== undefined && until <= performance.now()) leftUntil.delete(type);
    return leftUntil.has(type);
  }
  /** Asked for at every turn of the loop. */
  let loadable = asked;

  async function load(type: string, onFailure: (error: unknown) => void): Promise<Handler | null> {
    const entry = all.get(type);
    try {
      if (entry === undefined) throw new Error(`a job of type "${type}" was claimed, but only ${asked.join(", ")} were asked for`);
      const handler = "load" in entry ? await loaded(entry) : entry;
      contracts.set(type, handler.contract);
      return handler;
    } catch (error) {
      // What fails here is the installation or the configuration, not the job: no attempt may be spent on it.
      unloadable.add(type);
      loadable = asked.filter((each) => !unloadable.has(each));
      onFailure(error);
      return null;
    }
  }

  return {
    types: () => (leftUntil.size === 0 ? loadable : loadable.filter((type) => !isLeft(type))),
    leave(type, forMs) {
      if (isLeft(type)) return false;
      leftUntil.set(type, performance.now() + forMs);
      return true;
    },
    contracts: () => asked.flatMap((type) => all.get(type)?.contract ?? []),
    contractOf: (type) => contracts.get(type) ?? null,
    versionsOf: (asked) => asked.map((type) => (contracts.get(type) ?? contractIn(all.get(type)))?.version ?? null),
    unloadable,
    handlerOf(type, onFailure) {
      const known = loading.get(type) ?? load(type, onFailure);
      loading.set(type, known);
      return known;
    },
  };
}

function contractIn(entry: HandlerEntry | undefined): Contract | undefined {
  return entry?.contract;
}

async function loaded({ type, contract, load }: LazyHandler): Promise<Handler> {
  const over = new AbortController();
  const late = sleep(loadTimeoutMs, null, { signal: over.signal }).then(() => {
    throw new Error(`the handler of "${type}" did not load within ${loadTimeoutMs} ms`);
  });
  late.catch(() => undefined); // rejected too when the load was in time
  try {
    const handler = await Promise.race([load(), late]);
    const limits = handler.contract.concurrency ?? handler.contract.rateLimit;
    if (contract === undefined && limits !== null) throw new Error(`expected \`contract\` beside \`load\` for "${type}", because its limits must be known before its first job is claimed; got none`);
    return handler;
  } finally {
    over.abort();
  }
}
