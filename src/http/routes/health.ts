// Alive, ready, and figures for Prometheus.

import { z } from "zod";
import type { Access } from "../caller.ts";
import type { Route } from "../route.ts";
import { route } from "../route.ts";

/** Whether jobs can be done, and in a few words why not. */
export type Ready = () => Promise<{ readonly ready: boolean; readonly problems: readonly string[] }>;

export interface Metrics {
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

const readiness = z.object({ status: z.enum(["ready", "not ready"]), problems: z.array(z.string()) });

export function healthRoutes(ready: Ready): Route[] {
  return [
    route({
      method: "get",
      path: "/health",
      name: "isAlive",
      group: "health",
      summary: "Alive: the process answers",
      description: "Says nothing about the database, so that an orchestrator does not end a process that waits for it.",
      access: null,
      answers: { 200: { meaning: "It does.", schema: z.object({ status: z.literal("ok") }) } },
      problems: [],
      run: () => Promise.resolve({ status: 200, body: { status: "ok" } }),
    }),
    route({
      method: "get",
      path: "/health/ready",
      name: "isReady",
      group: "health",
      summary: "Ready: the database can do its work",
      access: null,
      answers: { 200: { meaning: "It is.", schema: readiness }, 503: { meaning: "It is not, and why in a few words.", schema: readiness } },
      problems: [],
      async run() {
        const { ready: isReady, problems } = await ready();
        return { status: isReady ? 200 : 503, body: { status: isReady ? "ready" : "not ready", problems } };
      },
    }),
  ];
}

/** `access` null: everyone, on a port that is for nothing else. */
export function metricsRoute(metrics: Metrics, access: Access | null): Route {
  return route({
    method: "get",
    path: "/metrics",
    name: "getMetrics",
    group: "health",
    summary: "Figures in Prometheus's text format",
    access,
    answers: { 200: { meaning: "The figures.", schema: null } },
    problems: [],
    async run() {
      const { contentType, body } = await metrics.text();
      return { status: 200, text: { contentType, text: body } };
    },
  });
}
