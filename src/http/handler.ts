// The whole of the HTTP side: (Request) => Promise<Response> over an outbox, to be mounted in any app. What its parts are
// by default, the edge says (service/create-http-handler.ts). Next: app.ts (how a request is answered), routes/.

import type { Contract } from "../outbox/define.ts";
import type { Duration } from "../outbox/duration.ts";
import { timerMs } from "../outbox/duration.ts";
import { OutboxError, refuseUnknown } from "../outbox/errors.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import type { HttpHandler } from "./app.ts";
import { createApp } from "./app.ts";
import { normalBasePath } from "./base-path.ts";
import type { Guard } from "./caller.ts";
import { callerBy } from "./caller.ts";
import { openApiRoute } from "./openapi.ts";
import type { Route } from "./route.ts";
import type { Metrics, Ready } from "./routes/health.ts";
import { healthRoutes, metricsRoute } from "./routes/health.ts";
import type { Redact } from "./routes/job.ts";
import { jobRoutes } from "./routes/job.ts";
import { jobsRoutes } from "./routes/jobs.ts";
import { monitoringRoutes, readStats } from "./routes/monitoring.ts";
import { processRoutes } from "./routes/process.ts";
import { sharedLook } from "./shared-look.ts";

/** Nothing is open by default: without `tokens` and without `authenticate` only `/health` answers. */
export interface HttpHandlerOptions extends Guard {
  /** The types that may be enqueued by HTTP, by their contracts. Default: none. */
  readonly contracts?: readonly Contract[];
  /** Those of them that users may enqueue (see `authenticate`), each for himself. Default: none. */
  readonly userTypes?: readonly string[];
  /** What runs jobs when `/api/jobs/process` is asked. Default: nothing, and nothing is run. */
  readonly handlers?: readonly HandlerEntry[];
  /** Fires their slots when jobs are run. */
  readonly schedules?: readonly ScheduleDeclaration[];
  /** Jobs running at once, for one request. Default: 20. */
  readonly concurrency?: number;
  /** How long one request runs jobs at most, and unless told otherwise. Under the platform's own limit. Default: "50s". */
  readonly maxTime?: Duration;
  /** How long running jobs may go on after `signal` is aborted. Default: "8s". */
  readonly grace?: Duration;
  /** Aborted when the server stops: what runs jobs claims no more, and /health/ready says no. */
  readonly signal?: AbortSignal;
  /** What stands before the paths: "/jobs-admin". Default: found for each request. */
  readonly basePath?: string;
  /** The largest body, in bytes. Default: 2 MiB. */
  readonly maxBodyBytes?: number;
  /** The longest that a request may take, those that run jobs aside. Default: "30s". */
  readonly timeLimit?: Duration;
  /** Takes the secrets out of payloads and results before they are answered. Default: values under names that look secret. */
  readonly redact?: Redact;
  /** Whether jobs can be done. Default: whether the database answers. */
  readonly ready?: Ready;
  /** What `/metrics` answers. Default: there is none. */
  readonly metrics?: Metrics;
  /** Told of what was answered by 500 and 503. Default: it is written to stderr. */
  readonly onError?: (error: unknown, requestId: string) => void;
}

const optionNames = [
  ...["tokens", "authenticate", "contracts", "userTypes", "handlers", "schedules", "concurrency", "maxTime", "grace", "signal", "basePath"],
  ...["maxBodyBytes", "timeLimit", "redact", "ready", "metrics", "onError"],
];

/** What the edge knows and the core does not. */
export interface HttpEdge {
  readonly version: string;
  readonly redact: Redact;
  readonly onError: (error: unknown, requestId: string) => void;
}

const statsForMs = 1000;
const readyTimeoutMs = 5000;

export function httpHandlerOver(outbox: Outbox, options: HttpHandlerOptions, edge: HttpEdge): HttpHandler {
  refuseUnknown("the options of the HTTP handler", options, optionNames);
  const { tokens, authenticate, redact = edge.redact, onError = edge.onError } = options;
  return createApp({
    routes: routesOver(outbox, { ...options, redact }, edge.version),
    callerOf: callerBy({ ...(tokens && { tokens }), ...(authenticate && { authenticate }) }),
    basePath: options.basePath === undefined ? null : normalBasePath(options.basePath),
    maxBodyBytes: options.maxBodyBytes ?? 2 * 1024 * 1024,
    timeLimitMs: timerMs(options.timeLimit ?? "30s", "timeLimit"),
    onError,
  });
}

function routesOver(outbox: Outbox, options: HttpHandlerOptions & { readonly redact: Redact }, version: string): Route[] {
  const { redact, handlers = [], signal } = options;
  const contracts = byType(options.contracts ?? []);
  const userTypes = new Set(options.userTypes);
  for (const type of userTypes) if (!contracts.has(type)) throw new OutboxError("CONFIGURATION", `Expected userTypes to be among the types of contracts (${[...contracts.keys()].join(", ")}), got "${type}".`);
  const stats = sharedLook(() => readStats(outbox), statsForMs);
  const ready = untilStopped(sharedLook(options.ready ?? (() => answers(outbox)), 0), signal);
  const routes = [
    ...healthRoutes(ready),
    ...(options.metrics === undefined ? [] : [metricsRoute(options.metrics, { roles: ["view"] })]),
    ...monitoringRoutes({ outbox, version, ready, stats, enqueues: [...contracts.keys()], runs: handlers.map(typeOf) }),
    ...processRoutes({
      outbox,
      redact,
      handlers,
      schedules: options.schedules ?? [],
      concurrency: options.concurrency ?? 20,
      maxTimeMs: timerMs(options.maxTime ?? "50s", "maxTime"),
      graceMs: timerMs(options.grace ?? "8s", "grace"),
      stop: signal,
      stats,
    }),
    ...jobsRoutes({ outbox, contracts, userTypes }),
    ...jobRoutes({ outbox, redact }),
  ];
  // Last, because it tells of all the others; its path fits none of theirs.
  return [...routes, openApiRoute(routes, contracts, version)];
}

function byType(contracts: readonly Contract[]): ReadonlyMap<string, Contract> {
  const found = new Map<string, Contract>();
  for (const contract of contracts) {
    if (found.has(contract.type)) throw new OutboxError("CONFIGURATION", `Expected one contract for each type, got two for "${contract.type}".`);
    found.set(contract.type, contract);
  }
  return found;
}

function untilStopped(ready: Ready, signal: AbortSignal | undefined): Ready {
  return () => (signal?.aborted === true ? Promise.resolve({ ready: false, problems: ["The server is stopping"] }) : ready());
}

/** Whether the outbox's database answers in time. */
async function answers(outbox: Outbox): Promise<Awaited<ReturnType<Ready>>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), readyTimeoutMs);
  });
  try {
    await Promise.race([outbox.types(), late]);
    return { ready: true, problems: [] };
  } catch {
    return { ready: false, problems: ["The database does not answer"] }; // why, is not for everyone
  } finally {
    clearTimeout(timer);
  }
}
