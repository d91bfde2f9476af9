// The forms of what is answered. The OpenAPI document is made of them, and every answer in the tests is held against it.

import { z } from "zod";
import { statuses } from "../outbox/job.ts";

/** Those that have a name of their own in the document. */
export const named = z.registry<{ id: string }>();

const instant = z.iso.datetime();
const count = z.number().int().min(0);
export const jobId = z.guid();
export const statusSchema = z.enum(statuses);

/** What a user sees of a job of his. */
const own = {
  id: jobId,
  type: z.string(),
  status: statusSchema,
  attempts: count,
  maxAttempts: count,
  runAt: instant,
  createdAt: instant,
  startedAt: instant.nullable(),
  finishedAt: instant.nullable(),
  tags: z.array(z.string()),
  progress: z.number().int().nullable(),
  progressNote: z.string().nullable(),
};

const summary = {
  ...own,
  priority: z.number().int(),
  lastError: z.string().nullable(),
  owner: z.string().nullable(),
  dedupeKey: z.string().nullable(),
  orderingKey: z.string().nullable(),
};

const anyJson = z.unknown().meta({ description: "Any JSON; values under names that look secret are \"[redacted]\"." });

const effect = z.object({ name: z.string(), state: z.enum(["begun", "done", "in doubt"]), attempt: count, result: anyJson });
const timelineEntry = z.object({ at: instant, what: z.string(), attempt: count.nullable(), who: z.string().nullable(), detail: z.string().nullable() });

export const ownSummaryShape = z.object(own).register(named, { id: "OwnJobSummary" });
export const jobSummaryShape = z.object(summary).register(named, { id: "JobSummary" });
export const ownJobShape = z.object({ ...own, payload: anyJson, result: anyJson }).register(named, { id: "OwnJob" });
export const jobShape = z
  .object({
    ...summary,
    payload: anyJson,
    result: anyJson,
    checkpoint: anyJson,
    version: count,
    worker: z.string().nullable(),
    suspect: z.boolean(),
    effects: z.array(effect),
    timeline: z.array(timelineEntry),
  })
  .register(named, { id: "Job" });

const estimate = z.object({ count, estimated: z.boolean() });
export const statsShape = z
  .object({
    at: instant,
    statuses: z.object(Object.fromEntries(statuses.map((status) => [status, estimate]))),
    due: estimate,
    nextDueAt: instant.nullable(),
    oldestDue: z.object({ type: z.string(), runAt: instant, ageMs: z.number() }).nullable(),
    workers: z.object({ alive: count, silent: count }),
    throughput: z.object({ overMs: z.number(), done: count, estimated: z.boolean(), failed: count }),
    types: z.array(z.object({ type: z.string(), pending: count, running: count, nextDueAt: instant.nullable() })),
  })
  .register(named, { id: "Stats" });

const tally = { done: count, retried: count, dead: count, released: count, cancelled: count, lost: count };
export const reportShape = z
  .object({
    ...tally,
    remaining: count,
    stopReason: z.enum(["empty", "paused", "max_jobs", "max_time", "signal", "locked"]),
    nextDueAt: instant.nullable(),
    unhandled: z.array(z.object({ type: z.string(), count })),
    unloadable: z.array(z.string()),
  })
  .register(named, { id: "DrainReport" });

export const whyShape = z
  .object({
    id: jobId,
    type: z.string(),
    status: statusSchema,
    gates: z.array(z.object({ gate: z.string(), fact: z.string(), lift: z.string().nullable(), until: instant.nullable() })),
    verdict: z.string(),
  })
  .register(named, { id: "Why" });

export const problemShape = z
  .object({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    requestId: z.string(),
    path: z.string().optional().meta({ description: "Where in the request the fault is." }),
  })
  .register(named, { id: "Problem" });
