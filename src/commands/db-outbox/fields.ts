// The fields of a job that a request may name, and what kind of value each holds. The compiler checks it against Prisma's model.
// Next: values.ts (one value of a kind), where.ts (filters).

import type { OutboxModel } from "../../../generated/prisma/models.ts";

export type ScalarKind = "uuid" | "text" | "status" | "integer" | "smallint" | "bigint" | "boolean" | "time";
/** Fields of the last two are filtered in ways of their own, and not aggregated. */
export type Kind = ScalarKind | "json" | "texts";

interface Field {
  readonly kind: Kind;
  readonly nullable: boolean;
}

const required = (kind: Kind): Field => ({ kind, nullable: false });
const nullable = (kind: Kind): Field => ({ kind, nullable: true });

/** In the order in which a table shows them: what people look for first comes first. */
export const fields = {
  id: required("uuid"),
  type: required("text"),
  status: required("status"),
  attempts: required("integer"),
  lastError: nullable("text"),
  runAt: required("time"),
  payload: required("json"),
  createdAt: required("time"),
  updatedAt: required("time"),
  maxAttempts: required("integer"),
  priority: required("smallint"),
  startedAt: nullable("time"),
  finishedAt: nullable("time"),
  result: nullable("json"),
  owner: nullable("text"),
  dedupeKey: nullable("text"),
  dedupeUntil: nullable("time"),
  dedupeReleased: required("boolean"),
  orderingKey: nullable("text"),
  sequence: nullable("bigint"),
  blockOnDead: required("boolean"),
  concurrencyKey: nullable("text"),
  lockedBy: nullable("uuid"),
  leaseToken: nullable("bigint"),
  suspect: required("boolean"),
  version: required("integer"),
  progress: nullable("smallint"),
  progressNote: nullable("text"),
  checkpoint: nullable("json"),
  tags: required("texts"),
  traceparent: nullable("text"),
  tracestate: nullable("text"),
} as const satisfies Record<keyof OutboxModel, Field>;

export type FieldName = keyof typeof fields;

export const fieldNames = Object.keys(fields) as FieldName[]; // the keys of a literal are exactly its names

export function isScalar(kind: Kind): kind is ScalarKind {
  return kind !== "json" && kind !== "texts";
}

export function fieldsOf(...kinds: readonly Kind[]): FieldName[] {
  return fieldNames.filter((name) => kinds.includes(fields[name].kind));
}
