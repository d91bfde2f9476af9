// Carries a mutation out: counts, changes, compares and writes the ledger in one transaction, or changes nothing.
// Next: mutate.ts, which asks first.

import type { Prisma, PrismaClient } from "../../../generated/prisma/client.ts";
import { limitedTransaction } from "../../service/prisma.ts";
import type { OutputRow } from "../output.ts";
import { isConflict } from "./failures.ts";
import type { Mutation } from "./guards.ts";

const statementTimeoutMs = 60_000;
const previewLimits = { readOnly: true, statementTimeoutMs, timeoutMs: 2 * statementTimeoutMs + 5000 };
const applyLimits = { readOnly: false, statementTimeoutMs, timeoutMs: 2 * statementTimeoutMs + 10_000 };
const maxSamples = 5;
const maxTries = 3;

export interface Preview {
  readonly count: number;
  /** Up to five of the jobs, without payloads. */
  readonly samples: readonly OutputRow[];
}

/** What the mutation would change, in a transaction that can change nothing. */
export async function preview(prisma: PrismaClient, mutation: Mutation): Promise<Preview> {
  const where = mutation.where as Prisma.OutboxWhereInput; // checked by parseWhere
  return limitedTransaction(prisma, previewLimits, async (tx) => ({
    count: await tx.outbox.count({ where }),
    samples: await tx.outbox.findMany({ where, take: maxSamples, select: { id: true, type: true, status: true, attempts: true, createdAt: true } }),
  }));
}

export interface Application {
  /** Called with the number of jobs, before the change and again after it; throws what is to be rolled back. */
  readonly checkCount: (count: number) => void;
  /** The `where` and `data` as they were typed, for the ledger. */
  readonly typed: { readonly where: Prisma.InputJsonValue; readonly data?: Prisma.InputJsonValue };
  readonly actor: string;
  readonly reason: string | null;
}

/** Applies the mutation and returns how many jobs it changed. With none, nothing is written, not even to the ledger. */
export async function apply(prisma: PrismaClient, mutation: Mutation, application: Application): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await applyOnce(prisma, mutation, application);
    } catch (error) {
      // Workers settle jobs in the order of ids, a large change goes in the order of the table: now and then they deadlock.
      if (tries === maxTries || !isConflict(error)) throw error;
    }
  }
}

async function applyOnce(prisma: PrismaClient, mutation: Mutation, { checkCount, typed, actor, reason }: Application): Promise<number> {
  const where = mutation.where as Prisma.OutboxWhereInput; // checked by parseWhere
  return limitedTransaction(prisma, applyLimits, async (tx) => {
    const selected = await tx.outbox.count({ where });
    if (selected === 0) return 0;
    // Before: a refusal then costs no write. After: between two statements jobs come and go.
    checkCount(selected);
    const { count, changed } = await change(tx, mutation, where);
    checkCount(count);
    if (count === 0) return 0;
    const action = await tx.outboxAction.create({
      data: {
        actor,
        action: `db outbox ${mutation.operation}`,
        filter: typed.where,
        ...(typed.data === undefined ? {} : { change: typed.data }),
        count,
        reason,
      },
    });
    // For the timeline of each; what was deleted has none any more.
    if (changed.length > 0) await tx.$executeRaw`insert into outbox_action_job (job_id, action_id) select unnest(${changed}::text[])::uuid, ${action.id}`;
    return count;
  });
}

async function change(tx: Prisma.TransactionClient, mutation: Mutation, where: Prisma.OutboxWhereInput): Promise<{ count: number; changed: string[] }> {
  if (mutation.change === null) return { ...(await tx.outbox.deleteMany({ where })), changed: [] };
  // Times on jobs are by the database's clock. In one statement with the change, it is the same for every job.
  const [clock] = await tx.$queryRaw<{ now: Date }[]>`select clock_timestamp() as now`;
  if (clock === undefined) throw new TypeError("Expected the database's time, got no row");
  // What has ended carries when; the trigger outbox_reopen takes that away again from what is set back to pending.
  const finished = mutation.change.status === "cancelled" ? { finishedAt: clock.now } : {};
  const changed = await tx.outbox.updateManyAndReturn({ where, data: { ...mutation.change, ...finished, updatedAt: clock.now }, select: { id: true } });
  return { count: changed.length, changed: changed.map(({ id }) => id) };
}
