// A connection may die without a word: the statement is never answered, and TCP gives up after a quarter of an hour, if at
// all. So after some silence Postgres is asked, on another connection, whether it is still at it.

import type { PoolClient, PoolConfig } from "pg";

/** So much silence, and the time that asking takes, are less than 15 s together. */
const askAfterMs = 5000;
const askTimeoutMs = 4000;

/** Waits for an answer; throws when it can no longer come. */
export type Answered = <Value>(client: PoolClient, answer: Promise<Value>) => Promise<Value>;

export function answeredOver(config: PoolConfig): Answered {
  return async (client, answer) => {
    const openedBy = performance.now();
    let heard = bytesFrom(client);
    let over = false;
    const silent = () => !over && bytesFrom(client) === heard;
    const ask = async () => {
      // An answer that takes long to come through is one.
      if (silent() && (await isOver(config, client, openedBy, silent).catch(() => false)) && silent()) {
        client.connection.stream.destroy(Object.assign(new Error("Connection terminated without a word: Postgres is not at the statement"), { code: "CONNECTION_LOST" }));
      }
      heard = bytesFrom(client);
      if (!over) timer.refresh(); // also when nobody could be asked: later, perhaps
    };
    const timer = setTimeout(() => void ask(), askAfterMs).unref();
    try {
      return await answer;
    } finally {
      over = true;
      clearTimeout(timer);
    }
  };
}

/**
 * Whether Postgres has long been waiting for us on a connection on which we wait for it. Then its session is ended, so that
 * nothing of what it holds is held any longer, and nothing that is on its way is carried out late.
 */
async function isOver(config: PoolConfig, client: PoolClient, openedBy: number, stillSilent: () => boolean): Promise<boolean> {
  const { default: pg } = await import("pg");
  const other = new pg.Client({ ...config, connectionTimeoutMillis: askTimeoutMs, query_timeout: askTimeoutMs });
  other.on("error", () => undefined); // the statement fails
  try {
    await other.connect();
    // Whoever has blocked the event loop finds the answer, which had been waiting, only now.
    if (!stillSilent()) return false;
    const { rows } = await other.query<{ over: boolean | null }>(
      `select case when state like 'idle%' and state_change < clock_timestamp() - interval '2 s' then pg_terminate_backend(pid) end as over
       from pg_stat_activity
       where pid = $1
         -- A number is given to others once it is free.
         and backend_start < clock_timestamp() - $2 * interval '1 millisecond'`,
      [processOf(client), Math.floor(performance.now() - openedBy)],
    );
    return rows[0] === undefined || rows[0].over === true;
  } finally {
    // A peer that does not answer is of no interest.
    await Promise.race([other.end(), new Promise((resolve) => setTimeout(resolve, 1000).unref())]).catch(() => undefined);
  }
}

/** pg has them, its types do not. */
function processOf(client: PoolClient): number {
  return (client as unknown as { readonly processID: number }).processID;
}

function bytesFrom(client: PoolClient): number {
  return (client.connection.stream as unknown as { readonly bytesRead: number }).bytesRead; // it is a socket
}
