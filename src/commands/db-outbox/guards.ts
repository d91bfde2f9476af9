// Which mutations are let through, and which of them need no question. Decided on the request alone, before the database.
// Next: mutate.ts.

import type { Status } from "../../outbox/job.ts";
import { statuses } from "../../outbox/job.ts";
import type { Change } from "./change.ts";
import { isKnown, refuse } from "./refuse.ts";
import type { Request } from "./request.ts";
import type { JsonObject } from "./values.ts";

export interface Mutation {
  readonly operation: "deleteMany" | "updateMany";
  readonly where: JsonObject;
  readonly change: Change | null;
  /** Done as typed, on and off a terminal: clearing away what has ended, and the reset of what has failed. */
  readonly routine: boolean;
}

const maxStatuses = statuses.length / 2;

/**
 * A mutation must name, at the top of its `where`, the status of the jobs it is about: one, or a list of at most half
 * of all statuses, compared exactly. Whatever stands beside it is joined by "and", so it can only narrow that choice
 * further: no combination of tautologies ever reaches a job of another status, and none means "all jobs". Conditions
 * that say nothing ({}, [], "") are refused by the grammar already, and text is compared literally, without wildcards.
 */
export function guard({ operation, args }: Request): Mutation {
  if (operation !== "deleteMany" && operation !== "updateMany") throw new TypeError(`${operation} is not a mutation`);
  const where = args.where as JsonObject; // parseWhere made it
  const named = namedStatuses(operation, where);
  if (operation === "deleteMany") {
    if (named.includes("processing")) refuse('Expected where.status without "processing": a worker is running those jobs, and its row is not pulled away from it. Cancel them first.');
    return { operation, where, change: null, routine: named.every((status) => status === "done" || status === "cancelled") };
  }
  const change = args.data as Change; // parseChange made it
  checkTransition(named, change);
  const onlyReset = change.status === "pending" && Object.keys(change).length === 1;
  return { operation, where, change, routine: onlyReset && named.every((status) => status === "error" || status === "cancelled") };
}

function namedStatuses(operation: string, where: JsonObject): Status[] {
  const given = where.status;
  const hint = `Name the status of the jobs, as "status":"done" or "status":{"in":["done","cancelled"]}; ${operation} never means all of them.`;
  if (given === undefined) refuse(`Expected where.status, got none. ${hint}`);
  const exact = typeof given === "string" ? [given] : exactList(given as JsonObject, hint); // parseWhere made it text or an object
  const named = [...new Set(exact)].filter((status) => isKnown(status, statuses));
  if (named.length > maxStatuses) refuse(`Expected where.status to name at most ${maxStatuses} of the ${statuses.length} statuses, got ${named.length}: that is nearly every job. Do it in several steps.`);
  return named;
}

function exactList(filter: JsonObject, hint: string): string[] {
  const [[operator, value] = [], ...others] = Object.entries(filter);
  if (others.length > 0 || (operator !== "equals" && operator !== "in")) {
    refuse(`Expected where.status to be compared by "equals" or "in" alone, got ${Object.keys(filter).map((name) => `"${name}"`).join(" and ")}. ${hint}`);
  }
  return (operator === "in" ? value : [value]) as string[]; // parseWhere let only names of statuses through
}

const cancellable: readonly Status[] = ["waiting", "pending", "processing"];

function checkTransition(from: readonly Status[], change: Change): void {
  if (change.status === "cancelled") {
    const ended = from.filter((status) => !cancellable.includes(status));
    if (ended.length > 0) refuse(`Expected where.status to be among ${cancellable.join(", ")} in order to cancel, got ${ended.join(", ")}: those jobs have ended already.`);
  }
  const edited = (["priority", "runAt", "maxAttempts"] as const).filter((name) => change[name] !== undefined);
  if (edited.length === 0) return;
  if (change.status === "cancelled") refuse(`Expected data without ${edited.join(", ")}: a cancelled job does not run.`);
  if (from.includes("processing")) refuse(`Expected where.status without "processing" in order to set ${edited.join(", ")}: a worker is running those jobs. Set their status to pending first.`);
  const ended = from.filter((status) => !cancellable.includes(status));
  if (ended.length > 0 && change.status !== "pending") {
    refuse(`Expected data.status to be "pending" beside ${edited.join(", ")}: jobs in ${ended.join(", ")} have ended, and the change would do nothing.`);
  }
}
