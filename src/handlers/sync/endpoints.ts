// What data.sync reads from and writes to: named endpoints of the configuration, checked once, when the handler is made.
// Next: pages.ts (one page after the other), http.ts, table.ts.

import { z } from "zod";
import type { Duration } from "../../outbox/duration.ts";
import { durationMs } from "../../outbox/duration.ts";
import type { Entry } from "../outbound/configured.ts";
import { entryOf } from "../outbound/configured.ts";
import { parseTarget } from "../outbound/target.ts";

/** Pulled by GET when it is the source, sent the data as JSON when it is the target. */
export interface HttpEndpoint {
  kind: "http";
  url: string;
  /** How data is sent. Default: "POST". */
  method?: "POST" | "PUT";
  /** Sent with every request, for example Authorization. */
  headers?: Record<string, string>;
  /** Lets the URL lead into a private network or to this machine. Default: false. */
  allowPrivate?: boolean;
  /** For one request, from the name to the last byte. Default: "30s". */
  timeout?: Duration;
  /** Largest answer that is pulled, up to 16 MB. Default: 64 KB. */
  maxBytes?: number;
  /** Where in a pulled answer the data stands, for example "results.items". Default: the answer is the data. */
  itemsAt?: string;
  /**
   * Where in a pulled answer the address of the next page stands, for example "links.next": a URL of the same origin, or
   * nothing on the last page. Each page is stored by itself, and the next attempt goes on from the page that was next.
   */
  nextAt?: string;
  /** How many items one request carries at most. Each is sent with an Idempotency-Key of its own. Default: all of them. */
  batchSize?: number;
}

/** A table that rows are upserted into. */
export interface TableEndpoint {
  kind: "table";
  /** "customer" or "crm.customer", spelled as in the database. */
  table: string;
  /** The column, or columns, that say which row is meant. They need a unique index. */
  key: string | string[];
  /** The column that orders the versions of a row: a row is overwritten by a greater version only. */
  version: string;
  /** Field of the data -> column; other fields are left out. Default: every field goes to the column of its name. */
  columns?: Record<string, string>;
}

export type Endpoint = HttpEndpoint | TableEndpoint;

/** Names of endpoints, and what a job may call its source: it becomes a header. */
export const namePattern = /^[\x21-\x7e](?:[\x20-\x7e]{0,98}[\x21-\x7e])?$/;

const ownHeaders = new Set(["host", "content-length", "transfer-encoding", "connection", "idempotency-key", "x-postcommit-source"]);
/** Postgres cuts longer names off, and would then mean another column. */
const identifier = z.string().refine((name) => name !== "" && Buffer.byteLength(name) <= 63 && !name.includes("\0"), "expected a name of 1 to 63 bytes, as in the database");
const table = z.string().refine(
  (name) => name.split(".").length <= 2 && name.split(".").every((part) => identifier.safeParse(part).success),
  'expected a table\'s name, such as "customer" or "crm.customer"',
);

const path = (example: string) => z.string().refine((text) => text.split(".").every((part) => part !== ""), `expected a path such as "${example}"`);

const httpSchema = z.strictObject({
  kind: z.literal("http"),
  url: z.string(),
  method: z.enum(["POST", "PUT"]).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  allowPrivate: z.boolean().optional(),
  timeout: z.union([z.string(), z.number()]).optional(),
  maxBytes: z.int().min(1).max(16 * 1024 * 1024).optional(),
  itemsAt: path("results.items").optional(),
  nextAt: path("links.next").optional(),
  batchSize: z.int().min(1).max(10_000).optional(),
});

const tableSchema = z.strictObject({
  kind: z.literal("table"),
  table,
  key: z.union([identifier, z.array(identifier).min(1)]),
  version: identifier,
  columns: z.record(z.string(), identifier).optional(),
});

const endpointSchema = z.discriminatedUnion("kind", [httpSchema, tableSchema]);

/** The endpoints by name. Throws an OutboxError that names the endpoint and the field; values are not shown, they may be secret. */
export function checkEndpoints(endpoints: Readonly<Record<string, Endpoint>>): ReadonlyMap<string, Endpoint> {
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const entry = entryOf("endpoints", name, "data.sync");
    if (!namePattern.test(name)) entry.refuse("", "expected a name of 1 to 100 printable ASCII characters");
    const issue = endpointSchema.safeParse(endpoint).error?.issues[0];
    if (issue !== undefined) entry.refuse(issue.path.join("."), issue.message);
    if (endpoint.kind === "http") checkHttp(entry, endpoint);
    else checkTable(entry, endpoint);
  }
  return new Map(Object.entries(endpoints));
}

export const defaultTimeout: Duration = "30s";
const maxTimeoutMs = 600_000;

function checkHttp({ refuse, attempt, headers }: Entry, endpoint: HttpEndpoint): void {
  attempt("url", () => parseTarget(endpoint.url, { allowPrivate: endpoint.allowPrivate ?? false }));
  const timeoutMs = attempt("timeout", () => durationMs(endpoint.timeout ?? defaultTimeout, "the timeout"));
  if (timeoutMs < 1 || timeoutMs > maxTimeoutMs) refuse("timeout", `expected 1 ms to 10 minutes, got ${timeoutMs} ms`);
  headers(endpoint.headers ?? {}, ownHeaders);
}

function checkTable({ refuse }: Entry, { key, version, columns }: TableEndpoint): void {
  const keys = keyColumns(key);
  if (new Set(keys).size < keys.length) refuse("key", "expected every column once");
  if (keys.includes(version)) refuse("version", `expected a column that is not part of the key, got "${version}"`);
  if (columns === undefined) return;
  const mapped = Object.values(columns);
  const twice = mapped.find((column, index) => mapped.indexOf(column) !== index);
  if (twice !== undefined) refuse("columns", `expected one field for the column "${twice}", got two`);
  const missing = [...keys, version].find((column) => !mapped.includes(column));
  if (missing !== undefined) refuse("columns", `expected a field for the column "${missing}", which is part of the key or the version`);
}

export function keyColumns(key: string | readonly string[]): readonly string[] {
  return typeof key === "string" ? [key] : key;
}
