// Which jobs somebody means: the same few conditions for looking and for acting, so that a list is the preview of what
// is done with them. Next: store/selection.ts (as SQL), job-actions.ts (what is done).

import type { Duration } from "./duration.ts";
import { durationMs } from "./duration.ts";
import { eachOf } from "./each-of.ts";
import { OutboxError, refuseUnknown, shown } from "./errors.ts";
import { isExactNumber } from "./exact-number.ts";
import type { Status } from "./job.ts";
import { statuses } from "./job.ts";
import { text, unstorable } from "./text.ts";

export type PayloadValue = string | number | boolean | null;

/** Jobs that fulfil all that is given. At least one condition has to be, or `all: true`: nothing never means everything. */
export interface JobFilter {
  readonly id?: string | readonly string[];
  readonly type?: string | readonly string[];
  readonly status?: Status | readonly Status[];
  /** The user on whose behalf it was enqueued. */
  readonly owner?: string;
  readonly dedupeKey?: string;
  readonly orderingKey?: string;
  /** It has all of them. */
  readonly tag?: string | readonly string[];
  /** It was enqueued longer ago. */
  readonly olderThan?: Duration;
  /** A part of its latest error, in upper or lower case. */
  readonly error?: string;
  /** Its latest failure has this fingerprint, as `errors` shows it. */
  readonly fingerprint?: string;
  /** Values in the payload by their path: `{ "customer.id": 42 }`, `{ "items.0.sku": ["a", "b"] }` for any of several. */
  readonly payload?: Readonly<Record<string, PayloadValue | readonly PayloadValue[]>>;
  readonly all?: boolean;
}

/** A filter whose every part has been checked. Null: not asked for. */
export interface Selection {
  readonly ids: readonly string[] | null;
  readonly types: readonly string[] | null;
  readonly statuses: readonly Status[] | null;
  readonly owner: string | null;
  readonly dedupeKey: string | null;
  readonly orderingKey: string | null;
  readonly tags: readonly string[] | null;
  readonly olderThanMs: number | null;
  readonly error: string | null;
  readonly fingerprint: string | null;
  readonly payload: readonly { readonly path: readonly string[]; readonly values: readonly PayloadValue[] }[];
}

const names = ["id", "type", "status", "owner", "dedupeKey", "orderingKey", "tag", "olderThan", "error", "fingerprint", "payload", "all"] satisfies (keyof JobFilter)[];
const maxListLength = 1000;
const maxPayloadPaths = 10;

/** Throws for what is unknown, empty or says nothing. */
export function selectionOf(filter: JobFilter): Selection {
  const given: unknown = filter;
  if (typeof given !== "object" || given === null) throw new OutboxError("INVALID_OPTION", `Expected the filter to be an object, got ${given === null ? "null" : typeof given}.`);
  refuseUnknown("the filter", filter, names);
  // A variable that was never set would otherwise select more than was meant, up to every job of the other conditions.
  const unset = Object.entries(filter).find(([, value]) => value === undefined);
  if (unset !== undefined) throw new OutboxError("INVALID_OPTION", `Expected ${unset[0]} of the filter to have a value, got undefined. Leave it out to select by the rest.`);
  const conditions = Object.entries(filter).filter(([name]) => name !== "all");
  if (filter.all !== undefined && typeof filter.all !== "boolean") throw new OutboxError("INVALID_OPTION", `Expected all of the filter to be true or false, got ${shown(filter.all)}.`);
  if (filter.all === true && conditions.length > 0) throw new OutboxError("INVALID_OPTION", `Expected either all or conditions (${conditions.map(([name]) => name).join(", ")}), got both.`);
  if (filter.all !== true && conditions.length === 0) throw new OutboxError("INVALID_OPTION", `Expected the filter to name jobs by ${names.slice(0, -1).join(", ")}, got none of them; all: true means every job.`);
  const one = (name: "owner" | "dedupeKey" | "orderingKey" | "error" | "fingerprint") => (filter[name] === undefined ? null : text(name, filter[name], 500));
  return {
    ids: listOf("id", filter.id, checkJobId),
    types: listOf("type", filter.type, (type) => text("type", type, 200)),
    statuses: listOf("status", filter.status, checkStatus),
    owner: one("owner"),
    dedupeKey: one("dedupeKey"),
    orderingKey: one("orderingKey"),
    tags: listOf("tag", filter.tag, (tag) => text("tag", tag, 100)),
    olderThanMs: filter.olderThan === undefined ? null : durationMs(filter.olderThan, "olderThan"),
    error: one("error"),
    fingerprint: one("fingerprint"),
    payload: payloadOf(filter.payload),
  };
}

export function checkJobId(id: unknown): string {
  if (typeof id === "string" && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(id)) return id.toLowerCase();
  throw new OutboxError("INVALID_OPTION", `Expected the id of a job, a UUID such as 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61, got ${shown(id)}.`);
}

function checkStatus(status: unknown): Status {
  const known = statuses.find((each) => each === status);
  if (known !== undefined) return known;
  throw new OutboxError("INVALID_OPTION", `Expected status to be one of ${statuses.join(", ")}, got ${shown(status)}.`);
}

function listOf<Item, Value>(name: string, given: Item | readonly Item[] | undefined, check: (item: unknown) => Value): readonly Value[] | null {
  if (given === undefined) return null;
  const items = eachOf(given);
  if (items.length === 0 || items.length > maxListLength) throw new OutboxError("INVALID_OPTION", `Expected ${name} of the filter to be one or up to ${maxListLength}, got ${items.length}.`);
  return [...new Set(items.map(check))];
}

function payloadOf(given: unknown): Selection["payload"] {
  if (given === undefined) return [];
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new OutboxError("INVALID_OPTION", `Expected payload of the filter to be an object of paths and values, such as {"customer.id":42}, got ${shown(given)}.`);
  const entries = Object.entries(given as Record<string, unknown>); // an object that is no list
  if (entries.length === 0 || entries.length > maxPayloadPaths) throw new OutboxError("INVALID_OPTION", `Expected payload of the filter to have 1 to ${maxPayloadPaths} paths, got ${entries.length}.`);
  return entries.map(([path, value]) => {
    const steps = text("a path into the payload", path, 500).split(".");
    if (steps.includes("")) throw new OutboxError("INVALID_OPTION", `Expected a path into the payload such as customer.id or items.0.sku, got ${JSON.stringify(path)}.`);
    const values = eachOf(value);
    if (values.length === 0 || !values.every(isPayloadValue)) throw new OutboxError("INVALID_OPTION", `Expected the value at ${JSON.stringify(path)} to be a text, a number, true, false or null, or a list of those, got ${shown(value)}.`);
    const odd = values.find((each) => typeof each === "string" && unstorable(each) !== null);
    if (odd !== undefined) throw new OutboxError("INVALID_OPTION", `Expected the value at ${JSON.stringify(path)} to be one that Postgres can store, got ${shown(odd)}.`);
    return { path: steps, values };
  });
}

/** A text that a person has typed for a value. What could be JSON as well as text means both: `42` is the number and the text. */
export function payloadValuesOf(text: string): PayloadValue[] {
  if (text === "true" || text === "false" || text === "null") return [text, JSON.parse(text) as boolean | null]; // those three
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text) && isExactNumber(text) ? [text, Number(text)] : [text];
}

function isPayloadValue(value: unknown): value is PayloadValue {
  return value === null || ["string", "boolean"].includes(typeof value) || (typeof value === "number" && Number.isFinite(value));
}
