// What may be stored, and by whom: transactions, payloads, dedupe keys, ordering keys; and who is woken.

import type { Mutant } from "../mutant.ts";

const database = "src/outbox/database.ts";
const payload = "src/outbox/payload.ts";
const text = "src/outbox/text.ts";
const migration = "prisma/migrations/20261122000200_engine/migration.sql";
const payloads = "test/outbox/payload.test.ts";
const transactions = "test/outbox/enqueue.test.ts";
const dedupe = "test/outbox/dedupe.test.ts";
const ordering = "test/outbox/ordering.test.ts";

export const enqueueGuards: readonly Mutant[] = [
  {
    name: "prisma-client-itself",
    guard: "A job is not enqueued outside a transaction: by the Prisma client itself.",
    file: database,
    out: 'if ("$connect" in tx && tx.$connect !== undefined) throw',
    in: 'if ("$connect" in tx && tx.$connect === null) throw',
    noticedBy: { [transactions]: "the Prisma client itself is refused" },
  },
  {
    name: "pg-pool",
    guard: "The same: by a pg pool, each of whose statements goes through another connection.",
    file: database,
    out: 'if ("totalCount" in tx) throw',
    in: 'if ("" in tx) throw',
    noticedBy: { [transactions]: "a pg pool, and a pg client outside BEGIN" },
  },
  {
    name: "pg-outside-begin",
    guard: "The same: by a pg client outside BEGIN.",
    file: database,
    out: 'if (status === "I") throw',
    in: 'if (status === "") throw',
    noticedBy: { [transactions]: "a pg pool, and a pg client outside BEGIN" },
  },
  {
    name: "payload-nul",
    guard: "A NUL is refused with its path before it poisons the caller's transaction.",
    file: text,
    out: 'if (value.includes("\\u0000")) return',
    in: 'if (value === "\\u0000\\u0000") return',
    noticedBy: { [payloads]: "what JSON or Postgres cannot carry is refused" },
  },
  {
    name: "payload-surrogates",
    guard: "So is half of a surrogate pair.",
    file: text,
    out: "if (!value.isWellFormed()) return",
    in: "if (value.length < 0) return",
    noticedBy: { [payloads]: "what JSON or Postgres cannot carry is refused" },
  },
  {
    name: "payload-size",
    guard: "A payload is bounded in bytes.",
    file: payload,
    out: "if (bytes > maxBytes) throw",
    in: "if (bytes < 0) throw",
    noticedBy: { [payloads]: "a payload of exactly 1 MB is taken" },
  },
  {
    name: "payload-depth",
    guard: "A payload is bounded in depth.",
    file: payload,
    out: "if (ancestors.size >= maxDepth) return",
    in: "if (ancestors.size < 0) return",
    noticedBy: { [payloads]: "what JSON or Postgres cannot carry is refused" },
  },
  {
    name: "dedupe-key",
    guard: "While a job holds a dedupe key, another one with it is not stored.",
    file: "src/outbox/enqueue.ts",
    out: "dedupe_key: dedupeKey,",
    in: "dedupe_key: null,",
    noticedBy: { [transactions]: "while it is held, a second job is not stored" },
  },
  {
    name: "dedupe-held",
    guard: "A dedupe key is taken over only once its time has passed.",
    file: "src/outbox/store/enqueue.ts",
    out: "where outbox.dedupe_until <= clock_timestamp()",
    in: "where outbox.dedupe_until is not null",
    noticedBy: { [transactions]: "while it is held, a second job is not stored" },
  },
  {
    name: "dedupe-redrive",
    guard: "A job whose dedupe key a later one holds is not redriven beside it.",
    file: migration,
    out: "if holder.dedupe_until > clock_timestamp()",
    in: "if holder.dedupe_until > 'infinity'",
    noticedBy: { [dedupe]: "of a job whose key a later one holds is refused" },
  },
  {
    name: "ordering-lock",
    guard: "Writers of one ordering key queue up until commit, so that the order of places is the order of commits.",
    file: migration,
    out: "perform from outbox_key_lock where id = mine for no key update;",
    in: "perform from outbox_key_lock where id = mine;",
    noticedBy: { "test/guards/ordering.test.ts": "waits for the one who did before it has committed" },
  },
  {
    name: "ordering-line",
    guard: "Jobs of one ordering key run one at a time.",
    file: migration,
    out: "if busy then",
    in: "if false then",
    noticedBy: { [ordering]: "a failed attempt holds the line" },
  },
  {
    name: "doorbell",
    guard: "A worker that sleeps is woken by an enqueue.",
    file: "src/outbox/session.ts",
    out: "await listen(connection);",
    in: "",
    noticedBy: { "test/guards/doorbell.test.ts": "an enqueue rings for a session that listens" },
  },
  {
    name: "doorbell-always",
    guard: "A notification makes all commits queue up, so none is sent while workers are under load.",
    file: migration,
    out: "begin\n    if exists (select from outbox_worker where listening) then",
    in: "begin\n    if true then",
    noticedBy: { "test/outbox/cursors.test.ts": "is not rung while workers are under load" },
  },
];
