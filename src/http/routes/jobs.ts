// /api/jobs: enqueue one or many, and look for some.

import { z } from "zod";
import type { JobsParts } from "../enqueue-by-request.ts";
import { enqueueByRequest } from "../enqueue-by-request.ts";
import { listByRequest } from "../list-by-request.ts";
import type { Route } from "../route.ts";
import { route } from "../route.ts";
import { jobId, jobSummaryShape, named, ownSummaryShape, statusSchema } from "../shapes.ts";

export const duration = z.union([z.int().min(0), z.string().regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/)]).meta({ description: 'Milliseconds, or a text such as "250ms", "30s", "5m", "2h" or "7d".' });
const word = z.string().min(1).max(500);
/** Of a whole request, so that one transaction does not grow without end. */
const maxJobs = 1000;

/** One job to be enqueued. What its payload must be, its contract says. */
export const newJob = z
  .strictObject({
    type: z.string().min(1).max(200),
    payload: z.unknown(),
    dedupeKey: word.optional(),
    dedupeFor: z.union([z.enum(["until-done", "forever"]), duration]).optional(),
    priority: z.union([z.enum(["high", "normal", "low"]), z.int().min(-32_768).max(32_767)]).optional(),
    runAt: z.iso.datetime({ offset: true }).optional(),
    delay: duration.optional(),
    maxAttempts: z.int().min(1).max(10_000).optional(),
    owner: word.optional(),
    orderingKey: word.optional(),
    tags: z.array(z.string().min(1).max(100)).max(20).optional(),
  })
  .register(named, { id: "NewJob" });
const newJobs = z.strictObject({ jobs: z.array(newJob).min(1).max(maxJobs) });
export type NewJob = z.output<typeof newJob>;

const enqueued = z.object({ id: jobId, deduplicated: z.boolean() });
const enqueuedForm = z.union([enqueued, z.object({ jobs: z.array(enqueued) })]);

const listQuery = z.strictObject({
  id: z.array(jobId).optional(),
  type: z.array(z.string().min(1).max(200)).optional(),
  status: z.array(statusSchema).optional(),
  owner: word.optional(),
  key: word.optional(),
  orderingKey: word.optional(),
  tag: z.array(z.string().min(1).max(100)).optional(),
  olderThan: z.string().regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/).optional(),
  error: word.optional(),
  fingerprint: word.optional(),
  payload: z.record(z.string(), z.array(z.string())).optional(),
  limit: z.coerce.number<string>().int().min(1).max(1000).optional(),
  after: jobId.optional(),
});

export type ListQuery = z.output<typeof listQuery>;

export function jobsRoutes(parts: JobsParts): Route[] {
  return [
    route({
      method: "post",
      path: "/api/jobs",
      name: "enqueue",
      group: "jobs",
      summary: "Enqueue one job, or many in one transaction",
      description: "The header Idempotency-Key is the dedupe key of one job. A user gives type and payload and nothing else, and owns the job.",
      access: { roles: ["operate"], users: true },
      headers: { "Idempotency-Key": { meaning: "The dedupe key; while a job of the type holds it, another is not stored, and its id is answered.", schema: word } },
      body: { schema: z.union([newJob, newJobs]), formOf: (given) => (typeof given === "object" && given !== null && "jobs" in given ? newJobs : newJob) },
      answers: {
        201: { meaning: "Stored; of many, at least one.", schema: enqueuedForm, headers: { Location: "Where the job is, of one." } },
        200: { meaning: "Nothing was stored: there are jobs already that hold the dedupe keys.", schema: enqueuedForm, headers: { Location: "Where the job is, of one." } },
      },
      problems: ["payload_refused"],
      run: (asked) => enqueueByRequest(parts, asked),
    }),
    route({
      method: "get",
      path: "/api/jobs",
      name: "listJobs",
      group: "jobs",
      summary: "Jobs, newest first",
      description: "All that is given must be fulfilled. A parameter that is not known is refused. A user sees his own jobs.",
      access: { roles: ["view"], users: true },
      query: listQuery,
      payloadFilter: true,
      answers: {
        200: {
          meaning: "A page of them.",
          schema: z.object({ jobs: z.array(z.union([jobSummaryShape, ownSummaryShape])), next: z.string().nullable().meta({ description: "The path of the next page." }) }),
          headers: { Link: 'The next page, with rel="next".' },
        },
      },
      problems: [],
      run: (asked) => listByRequest(parts.outbox, asked),
    }),
  ];
}
