// Some thirty jobs, and by plain JavaScript which of them a filter means: what the SQL of a filter is held against.

import type { JobFilter } from "../../src/outbox/filter.ts";
import type { TestOutbox } from "../support/outbox.ts";

export interface Known {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly owner: string | null;
  readonly dedupe_key: string | null;
  readonly ordering_key: string | null;
  readonly tags: readonly string[];
  readonly last_error: string | null;
  readonly payload: unknown;
  readonly attempts: number;
  readonly ageMs: number;
}

export const texts = ["a", "A", "b", "a_b", "axb", "100%", "%", "\\", "İ", "ß", "it's", '"', "ünï", "42", "true"];
export const statuses = ["pending", "waiting", "processing", "done", "error", "cancelled"] as const;
const payloads: readonly unknown[] = [
  {}, [], null, 42, "42", { a: 1 }, { a: "1" }, { a: null }, { a: true }, { a: "true" }, { a: { b: 1 } }, { a: { b: "x%" } }, { a: { b: [1, "2"] } }, { a: [{ b: 1 }] }, { a: [] }, { a: ["1", 1] },
  { 0: "zero" }, ["zero", { 0: 1 }], { a: { 0: "z" } }, { a: ["z"] }, { a: 1.5 }, { a: 1e21 }, { a: 0 }, { a: "" }, { "a.b": 1 }, { a: { b: { c: "ß" } } }, { constructor: "x" }, { a: 9007199254740992 }, { a: false }, { a: "null" },
];
const nth = <Item>(items: readonly Item[], index: number): Item => items[index % items.length]!; // no list is empty
const hourMs = 3_600_000;

/** Fills an outbox with them. */
export async function fill(test: TestOutbox): Promise<readonly Known[]> {
  const jobs: Known[] = payloads.map((payload, index) => ({
    id: `0198f2c4-6f00-7000-8000-${String(index).padStart(12, "0")}`,
    type: nth(["a", "a_b", "axb", "A"], index),
    status: nth(statuses, index * 5 + (index >> 2)),
    owner: index % 4 === 0 ? null : nth(texts, index),
    dedupe_key: index % 3 === 0 ? null : `${nth(texts, index * 7)}${index < 20 ? "" : "2"}`,
    ordering_key: index % 5 === 0 ? null : nth(texts, index >> 1),
    tags: texts.filter((_, at) => (index * 3 + at) % 7 === 0),
    last_error: index % 3 === 1 ? null : `Error: ${nth(texts, index)} at ${nth(texts, index + 3)}`,
    payload,
    attempts: index % 4,
    ageMs: (index + 0.5) * hourMs,
  }));
  for (const { ageMs, payload, tags, ...columns } of jobs) {
    await test.aJob(columns);
    // The job's own time is by the database's clock; and a list of texts is no JSON.
    await test.pool.query("update outbox set payload = $2, tags = $3, created_at = clock_timestamp() - $4 * interval '1 ms' where id = $1", [columns.id, JSON.stringify(payload), tags, ageMs]);
  }
  // Some that were to be pending wait for others of their ordering key: the table's trigger has seen to it.
  const stored = new Map((await test.jobs()).map(({ id, status }) => [id, status]));
  return jobs.map((job) => ({ ...job, status: stored.get(job.id) ?? "" }));
}

const listOf = <Item>(given: Item | readonly Item[]): readonly Item[] => (Array.isArray(given) ? (given as readonly Item[]) : [given as Item]);

/** Whether the job is one that an accepted filter means. */
export function isMeant(job: Known, filter: JobFilter, lower: (text: string) => string): boolean {
  const { id, type, status, owner, dedupeKey, orderingKey, tag, olderThan, error, payload } = filter;
  return (
    (id === undefined || listOf(id).some((each) => each.toLowerCase() === job.id)) &&
    (type === undefined || listOf(type).includes(job.type)) &&
    (status === undefined || listOf<string>(status).includes(job.status)) &&
    (owner === undefined || job.owner === owner) &&
    (dedupeKey === undefined || job.dedupe_key === dedupeKey) &&
    (orderingKey === undefined || job.ordering_key === orderingKey) &&
    (tag === undefined || listOf(tag).every((each) => job.tags.includes(each))) &&
    (olderThan === undefined || job.ageMs > hoursOf(olderThan) * hourMs) &&
    (error === undefined || (job.last_error !== null && lower(job.last_error).includes(lower(error)))) &&
    Object.entries(payload ?? {}).every(([path, wanted]) => listOf<unknown>(wanted).some((each) => isAt(job.payload, path.split("."), each)))
  );
}

/** The tests of filters give ages in hours. */
const hoursOf = (olderThan: NonNullable<JobFilter["olderThan"]>): number => (typeof olderThan === "number" ? olderThan / hourMs : Number.parseInt(olderThan, 10) * (olderThan.endsWith("d") ? 24 : 1));

function isAt(value: unknown, [step, ...more]: readonly string[], wanted: unknown): boolean {
  if (step === undefined) return value === wanted;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return /^\d+$/.test(step) && Number(step) < value.length && isAt(value[Number(step)], more, wanted);
  return Object.hasOwn(value, step) && isAt((value as Record<string, unknown>)[step], more, wanted);
}
