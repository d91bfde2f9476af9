// The few methods of a database that the core needs. The adapter for pg stands at the edge: service/database.ts.

import { NotInTransactionError } from "./errors.ts";

export type Row = Record<string, unknown>;

/** Something that runs one statement and gives back its rows. */
export interface Sql {
  query(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A transaction that is open, as `ctx.complete` gives it out. */
export type Transaction = Sql;

/** The engine's own way to Postgres: statements by themselves, and short transactions. READ COMMITTED throughout. */
export interface Database extends Sql {
  transaction<Value>(work: (tx: Transaction) => Promise<Value>): Promise<Value>;
  /**
   * A connection of its own, so that beats go out while every other connection is busy. Connecting and every statement
   * fail after `timeoutMs`. `onNotification` hears what the connection listens for. The caller closes it.
   */
  dedicated(timeoutMs: number, onNotification?: () => void): Promise<Sql & { close(): Promise<void> }>;
  /** Whether a connection can listen for notifications: behind a pooler it cannot. */
  readonly canListen: boolean;
  /** Closes all connections; waits for running statements. */
  close(): Promise<void>;
}

/** The tx of Prisma's `$transaction(async (tx) => …)`, 6.19 or 7, extended or not: recognised by its shape. */
export interface PrismaTransaction {
  $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown>;
  /** Only the client itself has it. */
  $connect?: "Pass the tx of prisma.$transaction(async (tx) => …), not the client itself.";
}

/** A pg client after BEGIN, or a `ctx.complete` transaction, or any object that runs SQL inside the caller's transaction. */
export interface SqlTransaction {
  query(text: string, values: unknown[]): Promise<{ rows: Row[] } | Row[]>;
  /** Only a pool has it. */
  totalCount?: "Pass one client that is inside BEGIN, not the pool.";
}

export type AnyTransaction = PrismaTransaction | SqlTransaction;

/**
 * The one way that `enqueue` uses any transaction. Throws NotInTransactionError for what is none: a Prisma client
 * (it has `$connect`; a tx hides it), a pg pool, a pg client outside BEGIN.
 */
export function sqlOf(tx: unknown): Sql {
  if (typeof tx !== "object" || tx === null) throw new NotInTransactionError(tx === null ? "null" : typeof tx);
  if ("$queryRawUnsafe" in tx && typeof tx.$queryRawUnsafe === "function") {
    if ("$connect" in tx && tx.$connect !== undefined) throw new NotInTransactionError("the Prisma client itself");
    const prisma = tx as PrismaTransaction;
    return { query: async (text, values = []) => (await prisma.$queryRawUnsafe(text, ...values)) as Row[] };
  }
  if ("query" in tx && typeof tx.query === "function") {
    if ("totalCount" in tx) throw new NotInTransactionError("a pg pool");
    const client = tx as SqlTransaction & { getTransactionStatus?: () => string | null };
    if (client.getTransactionStatus?.() === "I") throw new NotInTransactionError("a pg client outside BEGIN");
    return {
      query: async (text, values = []) => {
        const answer = await client.query(text, [...values]);
        return Array.isArray(answer) ? answer : answer.rows;
      },
    };
  }
  throw new NotInTransactionError("an object that runs no SQL");
}
