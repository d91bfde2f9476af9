// Opens the generated Prisma client on our own terms: a small pool, a connection time limit, sessions in UTC.
// Only what reads or edits jobs for people uses it; the hot path runs on pg alone. Next: commands/db-outbox.ts.

import type { Prisma, PrismaClient } from "../../generated/prisma/client.ts";
import { isPooled } from "./database.ts";

const connectTimeoutMs = 5000;
const queryTimeoutMs = 70_000;
const maxConnections = 2;

/** Loads Prisma (some 300 ms) and opens a client on `url`. It connects with its first query. */
export async function openPrisma(url: string): Promise<{ prisma: PrismaClient; close(): Promise<void> }> {
  const [{ PrismaClient }, { PrismaPg }] = await Promise.all([import("../../generated/prisma/client.ts"), import("@prisma/adapter-pg")]);
  const adapter = new PrismaPg({
    ...utcSession(url),
    application_name: "postcommit",
    max: maxConnections,
    connectionTimeoutMillis: connectTimeoutMs,
    // The server ends what takes too long; this is for a connection that has died without a word.
    query_timeout: queryTimeoutMs,
    keepAlive: true,
  });
  const prisma = new PrismaClient({ adapter });
  return { prisma, close: () => prisma.$disconnect() };
}

/**
 * The adapter sends times without an offset and, on reading, overwrites the offset by +00:00. In a session of another
 * zone every instant would be wrong by that zone, so the session must be in UTC. PgBouncer refuses start-up options:
 * behind it (`pgbouncer=true` in the URL) only `limitedTransaction` reads and writes times rightly.
 */
function utcSession(url: string): { connectionString: string; options?: string } {
  // A URL that pg understands and WHATWG does not (a list of hosts, a socket) goes through as it is.
  if (!URL.canParse(url)) return { connectionString: url, options: "-c TimeZone=UTC" };
  const parsed = new URL(url);
  if (isPooled(url)) return { connectionString: url };
  // pg lets options in the URL win over options beside it, so both are joined into one.
  const own = parsed.searchParams.get("options");
  parsed.searchParams.delete("options");
  return { connectionString: own === null ? url : parsed.href, options: `${own ?? ""} -c TimeZone=UTC`.trim() };
}

export interface TransactionLimits {
  readonly readOnly: boolean;
  /** Postgres cancels a statement that takes longer. */
  readonly statementTimeoutMs: number;
  /** Prisma rolls the transaction back when all of it takes longer. */
  readonly timeoutMs: number;
}

/** One interactive transaction, READ COMMITTED and in UTC, that ends within its limits. */
export async function limitedTransaction<Value>(
  prisma: PrismaClient,
  limits: TransactionLimits,
  work: (tx: Prisma.TransactionClient) => Promise<Value>,
): Promise<Value> {
  return prisma.$transaction(
    async (tx) => {
      // Local settings end with the transaction, so they are safe behind a pooler too.
      await tx.$queryRaw`
        select set_config('TimeZone', 'UTC', true),
               set_config('statement_timeout', ${String(limits.statementTimeoutMs)}, true),
               set_config('transaction_read_only', ${limits.readOnly ? "on" : "off"}, true)`;
      return work(tx);
    },
    // Waiting for the transaction to begin includes connecting.
    { isolationLevel: "ReadCommitted", maxWait: 2 * connectTimeoutMs, timeout: limits.timeoutMs },
  );
}
