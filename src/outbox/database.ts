// The few methods of a database that the core needs. The adapter for pg stands at the edge: service/database.ts.

import { NotInTransactionError } from "./errors.ts";
import type { Register } from "./register.ts";

export type Row = Record<string, unknown>;

/** Something that runs one statement and gives back its rows. */
export interface Sql {
  query(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A transaction that is open, as `ctx.complete` gives it out: the engine's own, or the app's, as `Register` says. */
export type Transaction = Register extends { transaction: infer Own } ? Own : Sql;

/** Runs `work` in a transaction, commits it, and gives back what `work` did. */
export type InTransaction = <Value>(work: (tx: Transaction) => Promise<Value>) => Promise<Value>;

/** The engine's own way to Postgres: statements by themselves, and short transactions. READ COMMITTED throughout. */
export interface Database extends Sql {
  transaction<Value>(work: (tx: Sql) => Promise<Value>): Promise<Value>;
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

/** The trx of Kysely's `db.transaction().execute(async (trx) => …)`, or of `startTransaction()`. */
export interface KyselyTransaction {
  /** False on the Kysely instance itself. */
  readonly isTransaction: true;
  executeQuery(query: object): Promise<{ rows: unknown[] }>;
}

/** The tx of Drizzle's `db.transaction(async (tx) => …)` on Postgres. */
export interface DrizzleTransaction {
  execute(query: object | string): PromiseLike<unknown>;
  /** Only a transaction has it. */
  rollback(): never;
}

/** The sql of postgres.js's `sql.begin(async (sql) => …)`. */
export interface PostgresJsTransaction {
  unsafe(text: string, values: (string | null)[]): PromiseLike<readonly unknown[]>;
  /** Only a transaction has it. */
  readonly savepoint: unknown;
}

export type AnyTransaction = PrismaTransaction | SqlTransaction | KyselyTransaction | DrizzleTransaction | PostgresJsTransaction;

/**
 * The one way that `enqueue` uses any transaction: by its shape, so that none of these libraries is imported. Throws
 * NotInTransactionError for what is none, such as the client or pool that the transaction should be of.
 */
export function sqlOf(tx: unknown): Sql {
  if ((typeof tx !== "object" && typeof tx !== "function") || tx === null) throw new NotInTransactionError(tx === null ? "null" : typeof tx);
  const sql = ofPrisma(tx) ?? ofKysely(tx) ?? ofDrizzle(tx) ?? ofPostgresJs(tx) ?? ofClient(tx);
  if (sql !== null) return sql;
  if (has(tx, "then")) throw new NotInTransactionError("a promise; await it first");
  throw new NotInTransactionError(typeof tx === "function" ? "a function or class" : "an object that runs no SQL");
}

function has<Name extends string>(value: object, name: Name): value is Record<Name, (...args: never[]) => unknown> {
  return name in value && typeof (value as Record<string, unknown>)[name] === "function"; // any object may be asked for a property
}

function ofPrisma(tx: object): Sql | null {
  if (!has(tx, "$queryRawUnsafe")) return null;
  if ("$connect" in tx && tx.$connect !== undefined) throw new NotInTransactionError("the Prisma client itself");
  const prisma = tx as PrismaTransaction;
  return {
    async query(text, values = []) {
      try {
        return (await prisma.$queryRawUnsafe(text, ...values)) as Row[];
      } catch (error) {
        throw isEnded(error) ? new NotInTransactionError("a Prisma transaction that has ended (is an await missing?)") : error;
      }
    },
  };
}

/** Prisma's code for what is wrong with a transaction. One that has timed out it explains better than we could. */
function isEnded(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "P2028" && !error.message.includes("expired");
}

function ofKysely(tx: object): Sql | null {
  if (!has(tx, "executeQuery") || !("isTransaction" in tx)) return null;
  if (tx.isTransaction !== true) throw new NotInTransactionError("the Kysely instance itself");
  const kysely = tx as KyselyTransaction;
  return {
    async query(text, values = []) {
      // What Kysely's CompiledQuery.raw(text, values) makes.
      const query = { sql: text, parameters: values, query: { kind: "RawNode", sqlFragments: [text], parameters: [] }, queryId: { queryId: "postcommit" } };
      return (await kysely.executeQuery(query)).rows as Row[];
    },
  };
}

function ofDrizzle(tx: object): Sql | null {
  if (!has(tx, "execute") || !("dialect" in tx && "session" in tx)) return null;
  if (!has(tx, "rollback")) throw new NotInTransactionError("the Drizzle database itself");
  if (typeof tx.session === "object" && tx.session !== null && "client" in tx.session) refuseIdle(tx.session.client);
  const drizzle = tx as Pick<DrizzleTransaction, "execute">;
  return {
    async query(text, values = []) {
      // What Drizzle asks of its own sql`…`: to be an SQL, and to give its text and parameters.
      const wrapper = { getSQL: () => wrapper, shouldOmitSQLParens: () => true, toQuery: () => ({ sql: text, params: [...values] }) };
      return rowsOf((await drizzle.execute(wrapper)) as Answer);
    },
  };
}

function ofPostgresJs(tx: object): Sql | null {
  if (typeof tx !== "function" || !has(tx, "unsafe")) return null;
  if (!has(tx, "savepoint")) throw new NotInTransactionError("the sql of postgres.js itself");
  const postgres = tx as Pick<PostgresJsTransaction, "unsafe">;
  // Values of enqueue are texts or null.
  return { query: async (text, values = []) => [...(await postgres.unsafe(text, values as (string | null)[]))] as Row[] };
}

function ofClient(tx: object): Sql | null {
  if (!has(tx, "query")) return null;
  if ("totalCount" in tx) throw new NotInTransactionError("a pg pool");
  const client = tx as SqlTransaction;
  refuseIdle(client);
  return { query: async (text, values = []) => rowsOf(await client.query(text, [...values])) };
}

/** A pg client knows whether it is inside a transaction. */
function refuseIdle(client: unknown): void {
  if (typeof client !== "object" || client === null || !has(client, "getTransactionStatus")) return;
  const status = client.getTransactionStatus();
  if (status === "I") throw new NotInTransactionError("a pg client outside BEGIN");
  if (status === null) throw new NotInTransactionError("a pg client that is not connected");
}

type Answer = { rows: Row[] } | Row[];

function rowsOf(answer: Answer): Row[] {
  return Array.isArray(answer) ? answer : answer.rows;
}
