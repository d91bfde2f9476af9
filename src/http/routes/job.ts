// /api/jobs/{id}: all that is known of one job, why it does not run, and what may be done with it.

import { z } from "zod";
import { durationMs } from "../../outbox/duration.ts";
import { OutboxError } from "../../outbox/errors.ts";
import { checkJobId } from "../../outbox/filter.ts";
import type { JobDetails } from "../../outbox/inspect-jobs.ts";
import type { Outbox } from "../../outbox/outbox.ts";
import type { Caller } from "../caller.ts";
import { actorOf } from "../caller.ts";
import { ownSummary } from "../list-by-request.ts";
import { Problem } from "../problem.ts";
import type { Answer, Asked, Route } from "../route.ts";
import { route } from "../route.ts";
import { jobShape, ownJobShape, whyShape } from "../shapes.ts";

/** A JSON value without its secrets. */
export type Redact = (value: unknown) => unknown;

export interface JobParts {
  readonly outbox: Outbox;
  readonly redact: Redact;
}

const waitLimitMs = 30_000;
const jobForm = { meaning: "The job; of it a user is told less.", schema: z.union([jobShape, ownJobShape]) };
const reason = z.strictObject({ reason: z.string().min(1).max(2000).optional().meta({ description: "Why, for the ledger of actions." }) });

export function jobRoutes(parts: JobParts): Route[] {
  const { outbox } = parts;
  const act = (action: "retry" | "cancel", summary: string, description: string) =>
    route({
      method: "post",
      path: `/api/jobs/{id}/${action}`,
      name: `${action}Job`,
      group: "jobs",
      summary,
      description,
      access: { roles: ["operate"], users: true },
      body: { schema: reason, optional: true },
      answers: { 200: { ...jobForm, meaning: "Done; the job as it is now." } },
      problems: ["not_found", "conflict"],
      run: (asked) => change(parts, action, asked),
    });
  return [
    route({
      method: "get",
      path: "/api/jobs/{id}",
      name: "getJob",
      group: "jobs",
      summary: "All that is known of a job",
      access: { roles: ["view"], users: true },
      query: z.strictObject({
        wait: z.string().regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/).optional().meta({ description: "Answer when the job has ended, or after this time, at most 30s." }),
      }),
      answers: { 200: jobForm },
      problems: ["not_found"],
      timeLimitMs: waitLimitMs + 15_000,
      async run({ params, query, caller }) {
        const job = await jobFor(outbox, params, caller);
        const { wait } = query;
        const ended = wait === undefined ? job : await endOf(outbox, job, Math.min(durationMs(wait, "wait"), waitLimitMs));
        return { status: 200, body: shown(ended, caller, parts.redact) };
      },
    }),
    route({
      method: "get",
      path: "/api/jobs/{id}/why",
      name: "whyJob",
      group: "jobs",
      summary: "What keeps a job from running",
      access: { roles: ["view"] },
      answers: { 200: { meaning: "Every gate, in order, and all of it in one sentence.", schema: whyShape } },
      problems: ["not_found"],
      async run({ params }) {
        const why = await outbox.why(idOf(params));
        if (why === null) throw noJob();
        return { status: 200, body: why };
      },
    }),
    act("retry", "Make a job due now", "A dead letter, a cancelled job, or a pending one that is not due yet. 409 for any other, and when a later job holds its dedupe key."),
    act("cancel", "Cancel a job that has not ended", "One that runs loses its lease; its handler's signal fires within two seconds. 409 for one that has ended."),
  ];
}

function idOf({ id }: Asked["params"]): string {
  return checkJobId(id);
}

/** 403 for another owner's, 404 when there is none. */
async function jobFor(outbox: Outbox, params: Asked["params"], caller: Caller | null): Promise<JobDetails> {
  const job = await outbox.get(idOf(params));
  if (job === null) throw noJob();
  if (caller?.kind === "user" && job.owner !== caller.user) throw new Problem("forbidden", "This job is another owner's.");
  return job;
}

function noJob(): Problem {
  return new Problem("not_found", "There is no such job: the transaction that enqueued it has not committed, or it was pruned.");
}

/** The job when it has ended; or as it is when the time is over. */
export async function endOf(outbox: Outbox, job: JobDetails, timeoutMs: number): Promise<JobDetails> {
  try {
    return await outbox.wait(job.id, { timeout: timeoutMs });
  } catch (error) {
    if (!(error instanceof OutboxError) || error.code !== "TOO_SLOW") throw error;
    return (await outbox.get(job.id)) ?? job;
  }
}

async function change({ outbox, redact }: JobParts, action: "retry" | "cancel", { params, body, caller }: Asked<unknown, z.output<typeof reason>>): Promise<Answer> {
  const { id, status } = await jobFor(outbox, params, caller);
  const options = { ...(caller !== null && { actor: actorOf(caller) }), ...(body.reason !== undefined && { reason: body.reason }) };
  const { count, keysTaken } = await outbox[action]({ id }, options);
  if (count === 0) {
    const why = keysTaken > 0 ? "a later job holds its dedupe key" : `it was ${status}`;
    throw new Problem("conflict", `Nothing was changed: ${why}.`);
  }
  const job = await outbox.get(id);
  if (job === null) throw noJob();
  return { status: 200, body: shown(job, caller, redact) };
}

/** Without secrets, and without stacks. A user is told how his job fares, not what happens inside. */
function shown(job: JobDetails, caller: Caller | null, redact: Redact): unknown {
  const payload = redact(job.payload);
  const result = redact(job.result);
  if (caller?.kind === "user") return { ...ownSummary(job), payload, result };
  return {
    ...job,
    payload,
    result,
    checkpoint: redact(job.checkpoint),
    effects: job.effects.map((effect) => ({ ...effect, result: redact(effect.result) })),
    timeline: job.timeline.map(({ at, what, attempt, who, detail }) => ({ at, what, attempt, who, detail })),
  };
}
