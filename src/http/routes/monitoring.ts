// Figures for people and their tools: stats, the queue's health, and what this server knows.

import { z } from "zod";
import type { Outbox } from "../../outbox/outbox.ts";
import type { Route } from "../route.ts";
import { route } from "../route.ts";
import { statsShape } from "../shapes.ts";
import type { Ready } from "./health.ts";

export interface MonitoringParts {
  readonly outbox: Outbox;
  readonly version: string;
  readonly ready: Ready;
  readonly stats: () => Promise<Awaited<ReturnType<typeof readStats>>>;
  /** The types that may be enqueued here, and that are run here. */
  readonly enqueues: readonly string[];
  readonly runs: readonly string[];
}

const view = { roles: ["view"] } as const;
const statsAnswer = { 200: { meaning: "The figures; those that are estimated say so.", schema: statsShape } };
const health = z.object({ healthy: z.boolean(), problems: z.array(z.string()), deadLetters: z.number().int().nullable(), due: z.number().int().nullable(), oldestDueMs: z.number().nullable(), workers: z.number().int().nullable() });
const typeInfo = z.object({
  type: z.string(),
  paused: z.boolean(),
  pausedUntil: z.iso.datetime().nullable(),
  pauseReason: z.string().nullable(),
  breaker: z.enum(["closed", "open", "half-open"]),
  blockedUntil: z.iso.datetime().nullable(),
});

export function monitoringRoutes(parts: MonitoringParts): Route[] {
  const stats = (path: string, name: string) =>
    route({ method: "get", path, name, group: "monitoring", summary: "How many jobs there are, what is due, how fast they run", access: view, answers: statsAnswer, problems: [], run: async () => ({ status: 200, body: await parts.stats() }) });
  return [
    stats("/api/jobs/stats", "getStats"),
    stats("/api/monitoring/queue/stats", "getQueueStats"),
    route({
      method: "get",
      path: "/api/monitoring/queue/health",
      name: "getQueueHealth",
      group: "monitoring",
      summary: "Whether the queue is well, with what speaks for and against it",
      access: view,
      answers: { 200: { meaning: "It is well.", schema: health }, 503: { meaning: "It is not, or the database does not answer: then the figures are null.", schema: health } },
      problems: [],
      async run() {
        const { ready: healthy, problems } = await parts.ready();
        // A database that does not answer is an answer too.
        const figures = await parts.stats().catch(() => null);
        const oldestDueMs = figures === null ? null : (figures.oldestDue?.ageMs ?? 0);
        const body = { healthy, problems, deadLetters: figures?.statuses.error.count ?? null, due: figures?.due.count ?? null, oldestDueMs, workers: figures?.workers.alive ?? null };
        return { status: healthy ? 200 : 503, body };
      },
    }),
    route({
      method: "get",
      path: "/api/monitoring/queue/info",
      name: "getQueueInfo",
      group: "monitoring",
      summary: "What this server knows, and what holds types back",
      access: view,
      answers: { 200: { meaning: "It.", schema: z.object({ name: z.literal("postcommit"), version: z.string(), enqueues: z.array(z.string()), runs: z.array(z.string()), types: z.array(typeInfo) }) } },
      problems: [],
      async run() {
        const { outbox, version, enqueues, runs } = parts;
        const types = (await outbox.types()).map(({ type, pausedAt, pausedUntil, pauseReason, breaker, blockedUntil }) => ({ type, paused: pausedAt !== null, pausedUntil, pauseReason, breaker, blockedUntil }));
        return { status: 200, body: { name: "postcommit", version, enqueues, runs, types } };
      },
    }),
  ];
}

/** The figures as they are answered. */
export async function readStats(outbox: Outbox) {
  const [stats, types] = await Promise.all([outbox.stats(), outbox.types()]);
  return { ...stats, types: types.map(({ type, pending, running, nextDueAt }) => ({ type, pending, running, nextDueAt })) };
}
