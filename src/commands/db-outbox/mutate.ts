// A mutation from request to report: dry run, question, change, what changed and what to run next.
// Which mutations are let through stands in guards.ts, how they are carried out in apply.ts.

import type { PrismaClient } from "../../../generated/prisma/client.ts";
import type { DbOutboxRequest } from "../db-outbox.ts";
import { ask, canAsk, checkCount, jobs, showSamples } from "../consent.ts";
import type { CommandIo } from "../output.ts";
import { note, printValue } from "../output.ts";
import { visibleJson } from "../../service/visible.ts";
import type { Application, Preview } from "./apply.ts";
import { apply, preview } from "./apply.ts";
import { commandLine } from "./confirm.ts";
import type { Mutation } from "./guards.ts";
import { refuse } from "./refuse.ts";

export interface MutationCall {
  readonly request: DbOutboxRequest;
  /** The JSON argument, parsed. */
  readonly parsed: unknown;
  readonly mutation: Mutation;
  readonly io: CommandIo;
}

/** Refuses what needs a yes and cannot get one. Before a database is opened, so that it costs nothing. */
export function checkConsent({ request, mutation, io, parsed }: MutationCall): void {
  if (mutation.routine || request.yes || request.dryRun || mayAsk(request, io)) return;
  refuse(`This ${mutation.operation} needs a yes, and nobody can be asked. Nothing was changed. To run it:\n  ${commandLine({ ...request, parsed, yes: true })}`);
}

export async function mutate(prisma: PrismaClient, call: MutationCall): Promise<number> {
  const { request, mutation, io } = call;
  if (request.dryRun) {
    await reportDryRun(call, await preview(prisma, mutation));
    return 0;
  }
  // What the person agreed to; the transaction compares it with what is really changed.
  let expected = request.confirm;
  if (!mutation.routine && !request.yes) {
    const seen = await preview(prisma, mutation);
    if (seen.count === 0) {
      await report(call, 0);
      return 0;
    }
    checkNumber(call, expected, seen.count);
    await showSamples(io, seen);
    if (!(await ask(io, `${sentence(mutation, "do", seen.count)}?`))) {
      await note(io, request, "Nothing was changed.");
      return 2;
    }
    expected = seen.count;
  }
  const count = await apply(prisma, mutation, {
    checkCount: (found) => {
      checkNumber(call, expected, found);
    },
    typed: call.parsed as Application["typed"], // parseRequest has found where, and for an update data, in it
    actor: io.actor,
    reason: request.reason,
  });
  await report(call, count);
  return 0;
}

function checkNumber({ request, parsed, mutation }: MutationCall, expected: number | null, count: number): void {
  checkCount({ count, expected, confirm: request.confirm, lineFor: (confirm) => commandLine({ ...request, parsed, yes: !mutation.routine, confirm }) });
}

function mayAsk(request: DbOutboxRequest, io: CommandIo): boolean {
  return canAsk(io) && !request.noInput && request.input !== "-";
}

async function reportDryRun({ request, mutation, io }: MutationCall, { count, samples }: Preview): Promise<void> {
  if (request.json || request.ndjson) {
    return printValue(io, { dryRun: true, operation: mutation.operation, count, change: mutation.change, samples }, request);
  }
  await printValue(io, count, request);
  await note(io, request, `Dry run, nothing was changed. ${sentence(mutation, "would", count)}.`);
  if (count > 0 && !request.quiet) await showSamples(io, { count, samples });
}

async function report({ request, mutation, io }: MutationCall, count: number): Promise<void> {
  await printValue(io, request.json || request.ndjson ? { dryRun: false, operation: mutation.operation, count, change: mutation.change } : count, request);
  if (count === 0) return note(io, request, "No job is selected by where; nothing was changed.");
  await note(io, request, `${sentence(mutation, "did", count)}. Next: ${next(mutation)}`);
}

const verbs = {
  would: { remove: "Would delete", set: "Would set" },
  do: { remove: "Delete", set: "Set" },
  did: { remove: "Deleted", set: "Set" },
};

/** "Would set status to "pending" on 3 jobs", "Delete 1 job", "Deleted 1 job". */
function sentence(mutation: Mutation, tense: keyof typeof verbs, count: number): string {
  const { remove, set } = verbs[tense];
  if (mutation.change === null) return `${remove} ${jobs(count)}`;
  const settings = Object.entries(mutation.change).map(([name, value]) => `${name} to ${visibleJson(value)}`);
  return `${set} ${settings.join(", ")} on ${jobs(count)}`;
}

function next(mutation: Mutation): string {
  if (mutation.change === null) return `npm run app:cli db outbox groupBy '{"by":["status"],"_count":{"_all":true}}'`;
  if (mutation.change.status === "cancelled") return `npm run app:cli db outbox findMany '{"where":{"status":"cancelled"},"orderBy":{"finishedAt":"desc"},"take":5}'`;
  return "npm run app:cli jobs:drain";
}
