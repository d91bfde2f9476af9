// The transactions that handlers are given, for a dry run.

import type { InTransaction } from "../../outbox/database.ts";
import type { PrismaClientLike } from "../prisma-transactions.ts";
import { inPrisma } from "../prisma-transactions.ts";
import type { Service } from "../service.ts";

/** As handlers are given them by the engine, for as long as the dry run takes. */
export function appTransactions({ settings, database }: Service, limitMs: number): { readonly inTransaction: InTransaction; close(): Promise<void> } {
  const { prisma } = settings;
  if (prisma === null) return { inTransaction: (work) => database.transaction(work), close: () => Promise.resolve() };
  let client: PrismaClientLike | null = null;
  return {
    async inTransaction(work) {
      client = await prisma();
      return inPrisma(client, limitMs + 30_000)(work);
    },
    async close() {
      await client?.$disconnect?.();
    },
  };
}
