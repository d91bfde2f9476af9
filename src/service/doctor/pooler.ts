// Is there a pooler between us and Postgres, and does DATABASE_URL say so? A connection that goes straight to Postgres is
// told the number of its process with the greeting; a pooler tells one of its own making.

import { isPooled } from "../database.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, warning } from "./look.ts";

const timeoutMs = 5000;

/** What the engine asks of each session, as the server shows it. */
const wanted = { default_transaction_isolation: "read committed", plan_cache_mode: "force_generic_plan", enable_seqscan: "off" };

export const pooler: Check = {
  name: "pooler",
  needsTables: false,
  async run({ url, engine }) {
    const said = isPooled(url);
    const between = await hasPooler(url);
    if (!between && said) {
      return [warning("DATABASE_URL says pgbouncer=true, but the connection leads straight to Postgres: workers poll although they could be woken, and every claim is planned anew.", "take pgbouncer=true out of DATABASE_URL")];
    }
    if (between && said) return [ok("a pooler is between, and DATABASE_URL says so: workers poll, and the session's settings are the role's (see the check role settings).")];
    const [row] = await engine.query(`select ${Object.keys(wanted).map((name) => `current_setting('${name}') as ${name}`).join(", ")}`);
    const lost = Object.entries(wanted).filter(([name, value]) => row?.[name] !== value);
    const seen: Seen[] = [];
    if (between) {
      seen.push(
        lost.length > 0
          ? problem("a pooler is between that drops the settings of sessions, and DATABASE_URL does not say so: workers wait for notifications that may never reach them, and prepared statements may be met by other sessions.", "add ?pgbouncer=true to DATABASE_URL")
          : warning("a pooler is between, and DATABASE_URL does not say so. With one session per client that is well; in its transaction mode, notifications and prepared statements get lost.", "add ?pgbouncer=true to DATABASE_URL, unless it pools sessions"),
      );
    } else if (lost.length > 0) {
      seen.push(notice(`something sets the sessions' settings after the engine has: ${lost.map(([name, value]) => `${name} is ${String(row?.[name])}, asked for ${value}`).join("; ")}.`));
    }
    return seen.length > 0 ? seen : [ok("the connection leads straight to Postgres, and the engine's settings are in effect.")];
  },
};

async function hasPooler(url: string): Promise<boolean> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs, application_name: "postcommit-doctor" });
  client.on("error", () => undefined); // the next statement fails, and says so
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    // pg keeps what the greeting said, but has no type for it.
    return (client as unknown as { processID: number | null }).processID !== rows[0]?.pid;
  } finally {
    await client.end();
  }
}
