// The app's own transactions, for what handlers write by ctx.complete and ctx.checkpoint. Known by its shape: no import of
// Prisma, whose client is the app's own, of version 6 or 7.

import { setTimeout as sleep } from "node:timers/promises";
import type { InTransaction, Transaction } from "../outbox/database.ts";
import { OutboxError } from "../outbox/errors.ts";

/** A Prisma client, extended or not, as far as it is used here. */
export interface PrismaClientLike {
  $disconnect?(): Promise<void>;
  // Not generic: the overloads of a generated client would not fit. What `work` gives, it gives back.
  $transaction(work: (tx: object) => Promise<unknown>, options?: { maxWait?: number; timeout?: number; isolationLevel?: "ReadCommitted" }): Promise<unknown>;
}

/** Prisma gives up after 2 s for a connection and 5 s for the transaction; a job has its own time limit. */
const limits = { maxWait: 10_000, timeout: 60_000, isolationLevel: "ReadCommitted" as const };

const closeTimeoutMs = 2000;

/** `timeoutMs` is how long a transaction may take. */
export function inPrisma(client: PrismaClientLike, timeoutMs = limits.timeout): InTransaction {
  // From JavaScript anything may come.
  const given: unknown = client;
  if (typeof given !== "object" || given === null || !("$transaction" in given)) {
    throw new OutboxError("CONFIGURATION", `Expected prisma to be a Prisma client, got ${given === null ? "null" : typeof given}.`);
  }
  // What `Register` says of the app's transactions is what this client gives; and it gives back what `work` gave.
  return <Value>(work: (tx: Transaction) => Promise<Value>) => client.$transaction((tx) => work(tx as Transaction), { ...limits, timeout: timeoutMs }) as Promise<Value>;
}

/** The same over a client that is made when a handler first writes, so that a drain with nothing to do loads none. */
export function inLazyPrisma(open: () => PrismaClientLike | Promise<PrismaClientLike>): { readonly inTransaction: InTransaction; close(): Promise<void> } {
  let opening: Promise<PrismaClientLike> | null = null;
  const client = () => (opening ??= Promise.resolve().then(open));
  return {
    inTransaction: async (work) => inPrisma(await client())(work),
    async close() {
      const opened = (await opening?.catch(() => null)) ?? null; // whoever wanted it was told
      // Prisma 6 waits for ever when a commit has failed: it never gives that connection back.
      await Promise.race([opened?.$disconnect?.(), sleep(closeTimeoutMs, undefined, { ref: false })]);
    },
  };
}
