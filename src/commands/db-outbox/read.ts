// Runs a read: in one read-only transaction with time limits, so that nothing it is given can change a job or hang.

import type { Prisma, PrismaClient } from "../../../generated/prisma/client.ts";
import { limitedTransaction } from "../../service/prisma.ts";
import type { OutputRow } from "../output.ts";
import { refuse } from "./refuse.ts";
import type { Request } from "./request.ts";
import { maxTake } from "./request.ts";

const limits = { readOnly: true, statementTimeoutMs: 10_000, timeoutMs: 25_000 };
const defaultTake = 50;

/** What a read found. `notice` says what is not in it. */
export type Answer =
  | { readonly kind: "rows"; readonly rows: readonly OutputRow[]; readonly notice: string | null }
  | { readonly kind: "row"; readonly row: OutputRow | null }
  | { readonly kind: "count"; readonly count: number };

/**
 * The reads of `prisma.outbox` as they are used here. Prisma's own types derive the answer from arguments known at
 * compile time; these are known at run time, and parseRequest has checked them down to the last value.
 */
interface Reads {
  findMany(args: object): Promise<OutputRow[]>;
  findFirst(args: object): Promise<OutputRow | null>;
  findUnique(args: object): Promise<OutputRow | null>;
  count(args: object): Promise<number | OutputRow>;
  aggregate(args: object): Promise<OutputRow>;
  groupBy(args: object): Promise<OutputRow[]>;
}

export async function read(prisma: PrismaClient, request: Request): Promise<Answer> {
  return limitedTransaction(prisma, limits, (tx: Prisma.TransactionClient) => run(tx.outbox as unknown as Reads, request)); // see Reads
}

async function run(outbox: Reads, { operation, args }: Request): Promise<Answer> {
  switch (operation) {
    case "findMany":
      return findMany(outbox, inSomeOrder(args));
    case "findFirst":
      return { kind: "row", row: await outbox.findFirst(inSomeOrder(args)) };
    case "findUnique":
      return { kind: "row", row: await outbox.findUnique(args) };
    case "count": {
      const count = await outbox.count(args);
      return typeof count === "number" ? { kind: "count", count } : { kind: "row", row: count };
    }
    case "aggregate":
      return { kind: "row", row: await outbox.aggregate(args) };
    case "groupBy":
      return groupBy(outbox, args);
    case "deleteMany":
    case "updateMany":
      throw new TypeError(`${operation} is not a read`);
  }
}

/** The orders in which an index has the jobs of a status. */
const orders: Readonly<Record<string, readonly object[]>> = {
  pending: [{ type: "asc" }, { priority: "desc" }, { runAt: "asc" }, { id: "asc" }],
  waiting: [{ orderingKey: "asc" }, { sequence: "asc" }],
};

/**
 * Without an order of their own, pending and waiting jobs come in that of their index. By id, which is what Prisma would
 * ask for, Postgres expects to meet some soon, and reads everything that was done before they were made.
 */
function inSomeOrder(args: Request["args"]): Request["args"] {
  if ("orderBy" in args || "cursor" in args || "distinct" in args || typeof args.where !== "object" || args.where === null) return args;
  const { status } = args.where as { status?: unknown }; // parseWhere made it
  const order = typeof status === "string" && Object.hasOwn(orders, status) ? orders[status] : undefined;
  return order === undefined ? args : { ...args, orderBy: order };
}

async function findMany(outbox: Reads, args: Request["args"]): Promise<Answer> {
  // Prisma fetches every row that `where` selects and drops the repeated ones itself, so there must not be too many.
  if ("distinct" in args) {
    const count = await outbox.count({ ...("where" in args ? { where: args.where } : {}), take: maxTake + 1 });
    if (Number(count) > maxTake) refuse(`Expected "distinct" to be over at most ${maxTake} jobs, and where selects more. Narrow it, or let Postgres do it: groupBy with "by".`);
  }
  if ("take" in args) return { kind: "rows", rows: await outbox.findMany(args), notice: null };
  const rows = await outbox.findMany({ ...args, take: defaultTake + 1 });
  const notice = `Only the first ${defaultTake} jobs: there are more. Say how many you want, as "take":500 (at most ${maxTake}).`;
  return { kind: "rows", rows: rows.slice(0, defaultTake), notice: rows.length > defaultTake ? notice : null };
}

async function groupBy(outbox: Reads, args: Request["args"]): Promise<Answer> {
  if ("take" in args) return { kind: "rows", rows: await outbox.groupBy(args), notice: null };
  const rows = await outbox.groupBy({ ...args, take: maxTake + 1 });
  const notice = `Only the first ${maxTake} groups: there are more. Narrow the request by "where" or "having".`;
  return { kind: "rows", rows: rows.slice(0, maxTake), notice: rows.length > maxTake ? notice : null };
}
