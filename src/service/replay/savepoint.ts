// A part of a transaction that is somebody else's: what fails in it is undone, and the transaction goes on.

import type { AnyTransaction, Sql, Transaction } from "../../outbox/database.ts";
import { sqlOf } from "../../outbox/database.ts";

/** `done` is asked once the work has succeeded, in the same part. */
export async function inSavepoint<Value>(tx: AnyTransaction, work: (tx: Transaction) => Promise<Value>, done: (sql: Sql) => Promise<void> = () => Promise.resolve()): Promise<Value> {
  const sql = sqlOf(tx);
  await sql.query("savepoint postcommit_part");
  try {
    const value = await work(asHandedOut(tx));
    await done(sql);
    await sql.query("release savepoint postcommit_part");
    return value;
  } catch (error) {
    // When this fails too, the transaction has ended, and the first error says more.
    await sql.query("rollback to savepoint postcommit_part").catch(() => undefined);
    throw error;
  }
}

/** The transaction with all that it can do (`tx.invoice.update(…)`), and with the `query` of the engine's own. */
function asHandedOut(tx: AnyTransaction): Transaction {
  const sql = sqlOf(tx);
  const query: Sql["query"] = (text, values) => sql.query(text, values);
  const handed = new Proxy(tx, {
    get(target, name): unknown {
      if (name === "query") return query;
      const value: unknown = Reflect.get(target, name, target);
      // Some keep what is theirs in private fields, which a proxy does not have.
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return handed as unknown as Transaction; // what the app has registered as its transaction, or else what has `query`
}
