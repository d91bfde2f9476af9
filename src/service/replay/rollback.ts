// The one transaction of a dry run. It is opened when the handler first writes, is kept to the end, so that what was written
// is seen by what is written after it and the connection goes to nobody else, and is then rolled back, whatever happened.

import type { AnyTransaction, InTransaction, Sql } from "../../outbox/database.ts";
import { sqlOf } from "../../outbox/database.ts";
import type { Seal } from "./seal.ts";
import { inSavepoint } from "./savepoint.ts";

/** Rows of one table that would have been written. */
export interface TableWrites {
  readonly table: string;
  inserted: number;
  updated: number;
  deleted: number;
}

export interface Rollback {
  /** In the place of the transaction that the handler would have been given. */
  readonly inTransaction: InTransaction;
  /** What was written by the parts that would have been committed. */
  readonly writes: readonly TableWrites[];
  /** Rolls everything back. */
  end(): Promise<void>;
}

class RolledBack extends Error {}

/** A real worker may hold the rows that are written here, and waits for us in turn. */
const lockTimeoutMs = 5000;

export function openRollback(seal: Seal, open: InTransaction): Rollback {
  const writes = new Map<string, TableWrites>();
  let tx: Promise<AnyTransaction> | null = null;
  let release: () => void = () => undefined;
  let closed: Promise<void> = Promise.resolve();
  let turn: Promise<unknown> = Promise.resolve();

  function begin(): Promise<AnyTransaction> {
    const released = new Promise<void>((resolve) => (release = resolve));
    return new Promise((opened, failed) => {
      closed = seal
        .as("program", () =>
          open(async (transaction) => {
            const sql = sqlOf(transaction);
            await sql.query(`set local lock_timeout = ${lockTimeoutMs}`);
            opened(transaction);
            await released;
            throw new RolledBack();
          }),
        )
        .catch((error: unknown) => {
          if (!(error instanceof RolledBack)) failed(error instanceof Error ? error : new Error(String(error)));
        });
    });
  }

  return {
    get writes() {
      return [...writes.values()];
    },
    inTransaction(work) {
      // One part after the other: savepoints of parts that run at once would be entangled.
      const part = turn.then(async () => {
        const transaction = await (tx ??= begin());
        const before = await counts(sqlOf(transaction));
        return inSavepoint(
          transaction,
          (handed) => seal.as("handler", () => work(handed)),
          async (sql) => {
            // What a commit would check.
            await sql.query("set constraints all immediate");
            add(writes, before, await counts(sql));
            await sql.query("set constraints all deferred");
          },
        );
      });
      turn = part.catch(() => undefined);
      return part;
    },
    async end() {
      release();
      await closed;
    },
  };
}

type Counts = ReadonlyMap<string, readonly [inserted: number, updated: number, deleted: number]>;

/** What this transaction has written so far, by whatever client; Postgres counts what was undone too. */
async function counts(sql: Sql): Promise<Counts> {
  const rows = await sql.query(
    `select case schemaname when current_schema() then relname else schemaname || '.' || relname end as name,
       n_tup_ins::int as inserted, n_tup_upd::int as updated, n_tup_del::int as deleted
     from pg_stat_xact_user_tables
     where n_tup_ins + n_tup_upd + n_tup_del > 0`,
  );
  return new Map(rows.map((row) => [String(row.name), [Number(row.inserted), Number(row.updated), Number(row.deleted)]]));
}

function add(writes: Map<string, TableWrites>, before: Counts, after: Counts): void {
  for (const [table, [inserted, updated, deleted]] of after) {
    const [i, u, d] = before.get(table) ?? [0, 0, 0];
    const sum = writes.get(table) ?? { table, inserted: 0, updated: 0, deleted: 0 };
    sum.inserted += inserted - i;
    sum.updated += updated - u;
    sum.deleted += deleted - d;
    if (sum.inserted + sum.updated + sum.deleted > 0) writes.set(table, sum);
  }
}
