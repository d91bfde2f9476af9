// The server of routes, on Hono: finds the route, lets in who may, reads what is sent within its limits, answers in time.
// Which routes there are: routes/, put together by handler.ts.

import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { Hono } from "hono";
import type { Place } from "./base-path.ts";
import { patternOf, placeBy } from "./base-path.ts";
import { readJson } from "./body.ts";
import type { Caller, CallerOf } from "./caller.ts";
import { admitted } from "./caller.ts";
import { Problem, problemDocument, problemOf } from "./problem.ts";
import type { Answer, Asked, Route } from "./route.ts";
import { checked, queryOf } from "./route.ts";
import type { Metrics, Ready } from "./routes/health.ts";
import { healthRoutes, metricsRoute } from "./routes/health.ts";

export interface AppParts {
  readonly routes: readonly Route[];
  readonly callerOf: CallerOf;
  /** Null: found per request. */
  readonly basePath: string | null;
  readonly maxBodyBytes: number;
  readonly timeLimitMs: number;
  /** Told of what was answered by a 500 or a 503, and nobody else is. */
  readonly onError: (error: unknown, requestId: string) => void;
}

/** `incoming` is what the app's server made of the request, for `authenticate`. */
export type HttpHandler = (request: Request, incoming?: unknown) => Promise<Response>;

interface Bindings {
  readonly requestId: string;
  readonly incoming: unknown;
  readonly place: Place;
}

export function createApp({ routes, callerOf, basePath, maxBodyBytes, timeLimitMs, onError }: AppParts): HttpHandler {
  const placeOf = placeBy(routes.map(({ path }) => path), basePath);
  // The path is that of the route, wherever the handler is mounted.
  const app = new Hono<{ Bindings: Bindings }>({ getPath: (_, options) => options?.env?.place.path ?? "" });
  for (const route of routes) {
    app.on(route.method.toUpperCase(), route.path.replaceAll(/\{(\w+)\}/g, ":$1"), async (context) => respond(await answerTo(route, context), context.env.requestId));
  }
  app.notFound(({ req, env }) => refuse(missing(routes, env.place.path, req.method), env.requestId));
  app.onError((error, { env }) => refuse(error, env.requestId));

  async function answerTo(route: Route, { req, env }: Context<{ Bindings: Bindings }>): Promise<Answer> {
    // Hono answers HEAD by GET; what GET would change, nobody has asked for.
    if (req.method === "HEAD" && route.changesByGet === true) throw missing(routes, env.place.path, "HEAD");
    const asked = await inTime(timeLimitMs, (late) => whatIsAsked(route, req.raw, env, req.param(), late));
    return inTime(route.timeLimitMs ?? timeLimitMs, () => route.run(asked));
  }

  async function whatIsAsked(route: Route, request: Request, { incoming, place }: Bindings, params: Readonly<Record<string, string>>, late: AbortSignal): Promise<Asked> {
    let caller: Caller | null = null;
    if (route.access !== null) caller = admitted(await callerOf(request, incoming), route.access, request.headers.has("authorization"));
    const query = queryOf(route, new URL(request.url).searchParams);
    const body = route.body === undefined ? undefined : await bodyOf(route.body, request, late);
    return { params, query, body, caller, base: place.base, headers: request.headers };
  }

  async function bodyOf({ schema, formOf, optional = false }: NonNullable<Route["body"]>, request: Request, late: AbortSignal): Promise<unknown> {
    const given = await readJson(request, maxBodyBytes, late);
    if (given === undefined && !optional) throw new Problem("invalid_request", "Expected a body of JSON, got none.");
    const value = given ?? {};
    return checked(formOf?.(value) ?? schema, value, "the body");
  }

  function refuse(error: unknown, requestId: string): Response {
    const problem = problemOf(error);
    if (problem.code === "internal" || problem.code === "database_unavailable") onError(problem.cause, requestId);
    return respond({ status: problem.status, text: { contentType: "application/problem+json", text: JSON.stringify(problemDocument(problem, requestId)) }, headers: problem.headers }, requestId);
  }

  return async (request, incoming) => {
    const requestId = requestIdOf(request.headers.get("x-request-id"));
    const env: Bindings = { requestId, incoming, place: placeOf(pathOf(request)) };
    return app.fetch(request, env);
  };
}

/** Two slashes begin a host: a Location or a next page that is made of such a path would lead there. Nothing is at it. */
function pathOf({ url }: Request): string {
  const { pathname } = new URL(url);
  return pathname.startsWith("//") ? "" : pathname;
}

/** What is late is answered by 504; a body that is, says so itself. It may still be done then. */
async function inTime<Value>(limitMs: number, work: (late: AbortSignal) => Promise<Value>): Promise<Value> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late.abort();
      setImmediate(() => reject(new Problem("too_slow", `The answer took longer than ${limitMs / 1000} s. What was begun may still be done.`)));
    }, limitMs);
  });
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}

/** One of the caller's own is used when it is a plain word that no log stumbles over. */
function requestIdOf(given: string | null): string {
  return given !== null && /^[\w.:~-]{1,128}$/.test(given) ? given : randomUUID();
}

function respond({ status, body, text, headers }: Answer, requestId: string): Response {
  return new Response(text === undefined ? JSON.stringify(body) : text.text, {
    status,
    headers: {
      "content-type": text?.contentType ?? "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
      ...headers,
    },
  });
}

/** 404; or, when there is something by another method, 405. */
function missing(routes: readonly Route[], path: string, method: string): Problem {
  const there = routes.filter((route) => patternOf(route.path).test(path));
  const [first] = there;
  if (first === undefined) return new Problem("not_found", "There is nothing here.");
  // /api/jobs/stats fits /api/jobs/{id} as well, whose methods are not its.
  const methods = there.filter((route) => route.path === first.path).flatMap((route) => (route.method === "get" && route.changesByGet !== true ? ["GET", "HEAD"] : [route.method.toUpperCase()]));
  return new Problem("method_not_allowed", `Expected ${methods.join(" or ")}, got ${method}.`, { headers: { allow: methods.join(", ") } });
}

export interface HttpOptions {
  /** Whether the database can do its work, and in a few words why not. */
  readonly ready: Ready;
  readonly metrics?: Metrics;
}

/** What a worker answers on its probe port, to everyone who reaches it: its health, and its metrics if there are any. */
export function createHttpApp({ ready, metrics }: HttpOptions): { fetch(request: Request): Promise<Response> } {
  const handler = createApp({
    routes: [...healthRoutes(ready), ...(metrics === undefined ? [] : [metricsRoute(metrics, null)])],
    callerOf: () => Promise.resolve(null),
    basePath: "",
    maxBodyBytes: 0,
    timeLimitMs: 30_000,
    onError: () => undefined,
  });
  return { fetch: (request) => handler(request) };
}
