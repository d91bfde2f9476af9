// SQL that stores jobs. Values travel as text, so that every driver sends them the same way and no client's own type
// conversion or session time zone is in play. Only columns that are used are named: an enqueue is planned anew each time.

import type { Sql } from "../database.ts";

/** A job to be stored: the columns by their names, the payload as JSON text. */
export interface NewJob {
  readonly id: string;
  readonly type: string;
  readonly payload: string;
  readonly priority: number;
  readonly max_attempts: number;
  readonly run_at: string | null;
  readonly delay_ms: number | null;
  readonly owner: string | null;
  readonly concurrency_key: string | null;
  readonly ordering_key: string | null;
  readonly block_on_dead: true | null;
  readonly dedupe_key: string | null;
  /** How long the key is held; null until the job has finished, -1 for ever. */
  readonly dedupe_ms: number | null;
  /** Null: 1. */
  readonly version: number | null;
  /** As Postgres writes an array: `{"a","b"}`. */
  readonly tags: string | null;
  readonly traceparent: string | null;
  readonly tracestate: string | null;
}

type Column = keyof NewJob;

const types: Readonly<Record<Column, string>> = {
  id: "uuid",
  type: "text",
  payload: "jsonb",
  priority: "smallint",
  max_attempts: "integer",
  run_at: "timestamptz",
  delay_ms: "bigint",
  owner: "text",
  concurrency_key: "text",
  ordering_key: "text",
  block_on_dead: "boolean",
  dedupe_key: "text",
  dedupe_ms: "bigint",
  version: "integer",
  tags: "text[]",
  traceparent: "text",
  tracestate: "text",
};

/** Stores all of them, in the order given, and gives back their ids. None has a dedupe key. */
export async function insertJobs(sql: Sql, jobs: readonly NewJob[]): Promise<string[]> {
  const { used, wanted, values } = source(jobs);
  // No common table expression for what is one job's: to plan it would take longer than the insert.
  await sql.query(insertFrom(`(${wanted}) as wanted`, used), values);
  return jobs.map(({ id }) => id);
}

/**
 * Stores those whose dedupe key nobody holds, and gives back their ids. A key whose time has passed, or that was to be
 * held until its job had finished, is taken over; the old job keeps its text for searching. Conflicts end in nothing,
 * never in an error that would poison the caller's transaction.
 */
export async function insertDedupedJobs(sql: Sql, jobs: readonly NewJob[]): Promise<string[]> {
  const { used, wanted, values } = source(jobs);
  const rows = await sql.query(
    `with wanted as (${wanted}),
     -- Locked in the order of ids, so that two calls that take over the same keys do not wait for each other both ways.
     over as materialized (
       select outbox.id
       from wanted
       join outbox on outbox.type = wanted.type and outbox.dedupe_key = wanted.dedupe_key and not outbox.dedupe_released
       where outbox.dedupe_until <= clock_timestamp()
         or outbox.dedupe_until is null and outbox.status in ('done', 'error', 'cancelled')
       order by outbox.id
       for no key update of outbox
     ),
     freed as (
       update outbox
       set dedupe_released = true
       where id = any (array(select id from over))
       returning id
     ),
     -- Reading the count runs the update to its end before the first row is inserted.
     free as (
       select wanted.* from wanted where (select count(*) from freed) >= 0
     )
     ${insertFrom("free", used)}
     on conflict (type, dedupe_key) where dedupe_key is not null and not dedupe_released do nothing
     returning id`,
    values,
  );
  return rows.map((row) => String(row.id));
}

/** Finds which job holds the key that each of these asked for. A statement of its own, so that it sees what has just been committed. */
export async function findKeyHolders(sql: Sql, jobs: readonly NewJob[]): Promise<{ wanted: string; holder: string }[]> {
  const rows = await sql.query(
    `select wanted.id as wanted, outbox.id as holder
     from jsonb_to_recordset($1::text::jsonb) as wanted (id uuid, type text, dedupe_key text)
     join outbox on outbox.type = wanted.type and outbox.dedupe_key = wanted.dedupe_key and not outbox.dedupe_released`,
    [JSON.stringify(jobs.map(({ id, type, dedupe_key }) => ({ id, type, dedupe_key })))],
  );
  return rows.map((row) => ({ wanted: String(row.wanted), holder: String(row.holder) }));
}

interface Source {
  readonly used: readonly Column[];
  /** SQL that selects the jobs, in these columns. */
  readonly wanted: string;
  readonly values: readonly (string | null)[];
}

function source(jobs: readonly NewJob[]): Source {
  const names = Object.keys(types) as Column[]; // the names above
  const used = names.filter((name) => jobs.some((job) => job[name] !== null));
  const [only, another] = jobs;
  return only !== undefined && another === undefined ? oneJob(only, used) : manyJobs(jobs, used);
}

function oneJob(job: NewJob, used: readonly Column[]): Source {
  const wanted = `select ${used.map((name, index) => `$${index + 1}::text::${types[name]} as ${name}`).join(", ")}`;
  return { used, wanted, values: used.map((name) => (job[name] === null ? null : String(job[name]))) };
}

/** One JSON text with an array for each column: Postgres reads that in half the time it takes for an object for each job. */
function manyJobs(jobs: readonly NewJob[], used: readonly Column[]): Source {
  const elements = used.map((name) => `jsonb_array_elements${name === "payload" ? "" : "_text"}(columns->'${name}')`);
  const wanted = `
    -- Materialized, or the text would be parsed once for each column.
    with sent as materialized (
      select $1::text::jsonb as columns
    )
    select ${used.map((name) => `${name}::${types[name]}`).join(", ")}
    from sent
    cross join lateral rows from (${elements.join(", ")}) as job (${used.join(", ")})`;
  // A payload is JSON text already; it is put in as it is.
  const array = (name: Column) => (name === "payload" ? `[${jobs.map((job) => job.payload).join(",")}]` : JSON.stringify(jobs.map((job) => job[name])));
  return { used, wanted, values: [`{${used.map((name) => `"${name}":${array(name)}`).join(",")}}`] };
}

function insertFrom(from: string, used: readonly Column[]): string {
  const columns: string[] = used.filter((name) => !["run_at", "delay_ms", "dedupe_ms", "block_on_dead", "version"].includes(name));
  const expressions = [...columns];
  const due = [...(used.includes("run_at") ? ["run_at"] : []), ...(used.includes("delay_ms") ? ["clock_timestamp() + delay_ms * interval '1 millisecond'"] : [])];
  if (due.length > 0) {
    columns.push("run_at");
    // A time in the past means now: who claims goes through the due times in order, and looks back but seldom.
    expressions.push(`greatest(${due.join(", ")}, transaction_timestamp())`);
  }
  if (used.includes("dedupe_ms")) {
    columns.push("dedupe_until");
    expressions.push("case when dedupe_ms < 0 then '9999-12-31Z'::timestamptz else clock_timestamp() + dedupe_ms * interval '1 millisecond' end");
  }
  if (used.includes("block_on_dead")) {
    columns.push("block_on_dead");
    expressions.push("coalesce(block_on_dead, false)");
  }
  if (used.includes("version")) {
    columns.push("version");
    expressions.push("coalesce(version, 1)");
  }
  return `
    insert into outbox (${columns.join(", ")})
    select ${expressions.join(", ")}
    from ${from}`;
}
