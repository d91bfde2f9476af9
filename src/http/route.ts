// What a route is: how it is found, who may use it, what it takes, what it answers. One description serves the server
// (app.ts), the checks of what is sent (here) and the OpenAPI document (openapi.ts).

import { z } from "zod";
import type { Access, Caller } from "./caller.ts";
import type { ProblemCode } from "./problem.ts";
import { Problem } from "./problem.ts";

export interface Asked<Query = unknown, Body = unknown> {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** Null on routes for everyone. */
  readonly caller: Caller | null;
  /** What stands before the path of a route: "" or "/jobs-admin". */
  readonly base: string;
  readonly headers: Headers;
}

export interface Answer {
  readonly status: number;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly text?: { readonly contentType: string; readonly text: string };
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is documented of an answer. */
export interface AnswerForm {
  readonly meaning: string;
  /** Null: text. */
  readonly schema: z.ZodType | null;
  readonly headers?: Readonly<Record<string, string>>;
}

interface RouteParts<Query, Body> {
  readonly method: "get" | "post";
  /** `/api/jobs/{id}`; of several that fit, the first that is registered is used. */
  readonly path: string;
  /** The name of the operation in OpenAPI. */
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly group: string;
  /** Null: everyone. */
  readonly access: Access | null;
  /** Parameters of the query; a list may be given more than once. None: what is there is not looked at. */
  readonly query?: z.ZodObject<z.ZodRawShape>;
  /** Whether `payload.<path>=value` is among them, as `payload` in `query`. */
  readonly payloadFilter?: boolean;
  /** What the body may be. `formOf` says which of its forms is meant, so that what is wrong with it can be said. */
  readonly body?: { readonly schema: z.ZodType; readonly formOf?: (given: unknown) => z.ZodType; readonly optional?: boolean };
  readonly headers?: Readonly<Record<string, { readonly meaning: string; readonly schema: z.ZodType }>>;
  readonly answers: Readonly<Record<number, AnswerForm>>;
  /** Beside those that every route has. */
  readonly problems: readonly ProblemCode[];
  /** For answers that may take longer than others. */
  readonly timeLimitMs?: number;
  /** A GET that changes something: HEAD is refused. */
  readonly changesByGet?: boolean;
  readonly run: (asked: Asked<Query, Body>) => Promise<Answer>;
}

export type Route = RouteParts<unknown, unknown>;

/** A route with the types of what it takes, by its schemas. */
export function route<Query extends z.ZodObject<z.ZodRawShape>, Body = undefined>(
  parts: Omit<RouteParts<z.output<Query>, Body>, "query" | "body"> & { readonly query?: Query; readonly body?: { readonly schema: z.ZodType<Body>; readonly formOf?: (given: unknown) => z.ZodType; readonly optional?: boolean } },
): Route {
  return parts as Route; // app.ts gives `run` only what these very schemas have made
}

/** What a schema makes of `given`; throws 400 that names the place. */
export function checked(schema: z.ZodType, given: unknown, what: string): unknown {
  const result = schema.safeParse(given, { error: sentenceFor });
  if (result.success) return result.data;
  const [first] = result.error.issues;
  const path = (first?.path ?? []).reduce<string>((before, segment) => (typeof segment === "number" ? `${before}[${segment}]` : before === "" ? String(segment) : `${before}.${String(segment)}`), "");
  throw new Problem("invalid_request", `Expected ${path === "" ? what : `${path} of ${what}`} ${first?.message ?? "to be otherwise"}.`, path === "" ? {} : { path });
}

/** Completes "Expected limit of the query …". Values are not repeated: some are secrets. */
const sentenceFor: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case "unrecognized_keys":
      return `to have nothing that is not known, got ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
    case "invalid_type":
      return issue.input === undefined ? "to be given" : `to be of the type ${issue.expected}`;
    case "invalid_value":
      return `to be one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return issue.origin === "string" || issue.origin === "array" ? `to have a length of at least ${String(issue.minimum)}` : `to be at least ${String(issue.minimum)}`;
    case "too_big":
      return issue.origin === "string" || issue.origin === "array" ? `to have a length of at most ${String(issue.maximum)}` : `to be at most ${String(issue.maximum)}`;
    case "invalid_union":
      return "to be of one of its forms";
    case "invalid_format":
      return `to be of the form ${issue.format}`;
    default:
      return "to be otherwise";
  }
};

/** The parameters of a query as its schema takes them. Unknown ones, and one given twice that is no list, are refused by name. */
export function queryOf({ query, payloadFilter = false }: Route, parameters: URLSearchParams): unknown {
  if (query === undefined) return {};
  // Made of entries, because a name may be __proto__.
  const values: [string, unknown][] = [];
  const payload: [string, string[]][] = [];
  const known = Object.keys(query.shape).filter((name) => name !== "payload" || !payloadFilter);
  for (const name of new Set(parameters.keys())) {
    const given = parameters.getAll(name);
    if (payloadFilter && name.startsWith("payload.")) payload.push([name.slice("payload.".length), given]);
    else if (!known.includes(name)) throw new Problem("invalid_request", `Expected parameters among ${[...known, ...(payloadFilter ? ["payload.<path>"] : [])].join(", ") || "none"}, got ${JSON.stringify(name)}.`, { path: name });
    else if (isList(query.shape[name])) values.push([name, given]);
    else if (given.length > 1) throw new Problem("invalid_request", `Expected ${name} once in the query, got it ${given.length} times.`, { path: name });
    else values.push([name, given[0]]);
  }
  if (payload.length > 0) values.push(["payload", Object.fromEntries(payload)]);
  return checked(query, Object.fromEntries(values), "the query");
}

function isList(schema: unknown): boolean {
  return schema instanceof z.ZodOptional ? isList(schema.unwrap()) : schema instanceof z.ZodArray;
}
