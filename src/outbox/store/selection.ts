// SQL that finds the jobs of a selection. Written so that an index serves whatever one can serve: ADR 13 has the plans.

import type { Status } from "../job.ts";
import type { Selection } from "../filter.ts";
import { typesOf } from "./skips.ts";

export interface Conditions {
  /** True for the jobs of the selection; `outbox` is the table. */
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** `firstParameter` is the number of the first `$n` that is free. */
export function conditionsOf(selection: Selection, firstParameter = 1): Conditions {
  const values: unknown[] = [];
  const bind = (value: unknown) => `$${firstParameter + values.push(value) - 1}`;
  const parts: string[] = [];
  const { ids, types, statuses, owner, dedupeKey, orderingKey, tags, olderThanMs, error, fingerprint, payload } = selection;
  if (ids !== null) parts.push(`outbox.id = any (${bind(ids)}::uuid[])`);
  if (types !== null) parts.push(`outbox.type = any (${bind(types)}::text[])`);
  if (statuses !== null) parts.push(hasStatus(statuses));
  if (owner !== null) parts.push(`outbox.owner = ${bind(owner)}::text`);
  if (dedupeKey !== null) parts.push(hasDedupeKey(`${bind(dedupeKey)}::text`));
  if (orderingKey !== null) parts.push(hasOrderingKey(`${bind(orderingKey)}::text`));
  if (tags !== null) parts.push(`outbox.tags is not null and outbox.tags @> ${bind(tags)}::text[]`);
  if (olderThanMs !== null) parts.push(`outbox.created_at < clock_timestamp() - ${bind(olderThanMs)}::float8 * interval '1 millisecond'`);
  if (error !== null) parts.push(`position(lower(${bind(error)}::text) in lower(outbox.last_error)) > 0`);
  if (fingerprint !== null) parts.push(hasFingerprint(`${bind(fingerprint)}::text`));
  for (const { path, values: wanted } of payload) {
    parts.push(`(${wanted.map((value) => (isOfNames(path) ? `outbox.payload @> ${bind(nested(path, value))}::text::jsonb` : `outbox.payload #> ${bind(path)}::text[] = ${bind(JSON.stringify(value))}::text::jsonb`)).join(" or ")})`);
  }
  return { sql: parts.length === 0 ? "true" : parts.map((part) => `(${part})`).join("\n and "), values };
}

/** The words of a closed set stand in the text, so that the planner sees which partial index they belong to. */
export function hasStatus(statuses: readonly Status[]): string {
  return statuses.length === 1 ? `outbox.status = '${statuses[0] ?? ""}'` : `outbox.status in (${statuses.map((status) => `'${status}'`).join(", ")})`;
}

/** One arm for each of the partial indexes. That of the jobs which hold their keys begins with the type, so it is asked for each. */
const hasDedupeKey = (key: string) => `
  outbox.dedupe_key = ${key} and outbox.dedupe_key is not null and outbox.dedupe_released
  or outbox.dedupe_key = ${key} and outbox.dedupe_key is not null and not outbox.dedupe_released and outbox.type = any (array(
    with recursive ${typesOf("dedupe_key is not null and not dedupe_released")}
    select type from found where type is not null
  ))`;

const hasOrderingKey = (key: string) => `
  outbox.ordering_key = ${key} and outbox.ordering_key is not null and (outbox.status in ('pending', 'processing') or outbox.status = 'error' and outbox.block_on_dead)
  or outbox.ordering_key = ${key} and outbox.ordering_key is not null and outbox.status = 'waiting'
  or outbox.ordering_key = ${key} and outbox.ordering_key is not null and (outbox.status in ('done', 'cancelled') or outbox.status = 'error' and not outbox.block_on_dead)`;

/** Of its latest failure in the ledger; a dead letter that was made by hand has none there, but perhaps an error. */
const hasFingerprint = (fingerprint: string) => `
  ${fingerprint} = coalesce(
    (
      select outbox_fingerprint(error_class, message, stack)
      from outbox_attempt
      where job_id = outbox.id and error_class is not null
      order by id desc
      limit 1
    ),
    outbox_fingerprint(null, outbox.last_error, null)
  )`;

/** Containment can be served by a GIN index on the payload, if there is one; but it does not know places in lists. */
const isOfNames = (path: readonly string[]) => !path.some((step) => /^\d+$/.test(step));

const nested = (path: readonly string[], value: unknown) => JSON.stringify(path.reduceRight<unknown>((inner, step) => ({ [step]: inner }), value));
