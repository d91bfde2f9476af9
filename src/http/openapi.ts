// The OpenAPI 3.1 document, made of the routes themselves and of the contracts: what is checked is what is documented.

import { z } from "zod";
import type { Contract } from "../outbox/define.ts";
import { jsonSchemaOf } from "../outbox/json-schema.ts";
import type { AnswerForm, Route } from "./route.ts";
import { route } from "./route.ts";
import { named, problemShape } from "./shapes.ts";
import { problemStatuses } from "./problem.ts";

type Json = Record<string, unknown>;

export function openApiRoute(others: readonly Route[], contracts: ReadonlyMap<string, Contract>, version: string): Route {
  let made: Json | null = null;
  const own: Route = route({
    method: "get",
    path: "/api/openapi.json",
    name: "getOpenApi",
    group: "monitoring",
    summary: "This document",
    access: { roles: ["view"] },
    answers: { 200: { meaning: "It.", schema: z.record(z.string(), z.unknown()) } },
    problems: [],
    run: ({ base }) => {
      made ??= documentOf([...others, own], contracts, version);
      return Promise.resolve({ status: 200, body: { ...made, servers: [{ url: base === "" ? "/" : base }] } });
    },
  });
  return own;
}

export function documentOf(routes: readonly Route[], contracts: ReadonlyMap<string, Contract>, version: string): Json {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const each of routes) paths[each.path] = { ...paths[each.path], [each.method]: operationOf(each, schemas) };
  withPayloads(schemas, [...contracts.values()]);
  return {
    openapi: "3.1.1",
    info: { title: "postcommit", version, description: "Enqueue, look at and run the jobs of a transactional outbox. Errors are problem documents (RFC 9457)." },
    paths,
    components: { schemas, securitySchemes: { token: { type: "http", scheme: "bearer", description: "Of a role: view, operate (view too, and enqueues, retries, cancels) or run (has jobs run). An app may let its own users in as well." } } },
  };
}

function operationOf(each: Route, schemas: Json): Json {
  const { name, summary, description, group, access, body } = each;
  return {
    operationId: name,
    summary,
    ...(description !== undefined && { description }),
    tags: [group],
    security: access === null ? [] : [{ token: [] }],
    ...(access !== null && { "x-roles": access.roles, "x-users": access.users === true }),
    parameters: [...pathParameters(each), ...queryParameters(each, schemas), ...headerParameters(each, schemas)],
    ...(body && { requestBody: { required: body.optional !== true, content: { "application/json": { schema: schemaOf(body.schema, "input", schemas) } } } }),
    responses: responsesOf(each, schemas),
  };
}

function pathParameters({ path }: Route): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: "path", required: true, schema: { type: "string", format: "uuid" } }));
}

function queryParameters({ query, payloadFilter = false }: Route, schemas: Json): Json[] {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    if (payloadFilter && name === "payload") {
      // Exploded, the properties of an object are parameters of their own: payload.customer.id=42.
      const values = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };
      return { name, in: "query", style: "form", explode: true, description: "Values in the payload by their path, such as payload.customer.id=42.", schema: { type: "object", patternProperties: { "^payload\\..+$": values }, additionalProperties: false } };
    }
    return { name, in: "query", schema: schemaOf(schema as z.ZodType, "input", schemas) }; // routes are made with zod's own schemas
  });
}

function headerParameters({ headers = {} }: Route, schemas: Json): Json[] {
  const requestId = { name: "X-Request-Id", in: "header", description: "Given back, and in the server's log, when it is a word of up to 128 characters.", schema: { type: "string" } };
  return [...Object.entries(headers).map(([name, { meaning, schema }]) => ({ name, in: "header", description: meaning, schema: schemaOf(schema, "input", schemas) })), requestId];
}

function answerOf({ meaning, schema, headers = {} }: AnswerForm, schemas: Json): Response {
  const content = schema === null ? { "text/plain": { schema: { type: "string" } } } : { "application/json": { schema: schemaOf(schema, "output", schemas) } };
  return { description: meaning, content, headers: Object.fromEntries(Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: "string" } }])) };
}

/** By status. One may be an answer of the route's own as well as a problem. */
function responsesOf(each: Route, schemas: Json): Json {
  const answers = Object.entries(each.answers).map(([status, form]) => [status, answerOf(form, schemas)] as const);
  const responses = new Map(answers);
  for (const [status, problem] of problemsOf(each, schemas)) {
    const answer = responses.get(status);
    responses.set(status, answer === undefined ? problem : { ...answer, description: `${answer.description} Or a${problem.description.slice(1)}`, content: { ...answer.content, ...problem.content } });
  }
  return Object.fromEntries(responses);
}

interface Response {
  readonly description: string;
  readonly content: Json;
  readonly headers?: Json;
}

/** Those of the route, and those of every route like it. One for everyone has none: what is wrong is its answer. */
function problemsOf({ access, body, query, path, problems }: Route, schemas: Json): [status: string, Response][] {
  const codes = [...problems];
  if (access !== null) codes.push("unauthenticated", "forbidden", "internal", "database_unavailable", "too_slow");
  if (body) codes.push("invalid_request", "too_large", "unsupported_media_type", "timeout_of_body");
  if (query !== undefined || path.includes("{")) codes.push("invalid_request");
  const schema = schemaOf(problemShape, "output", schemas);
  const statuses = new Set(codes.map((code) => problemStatuses[code]));
  const some = (status: number) => [...new Set(codes)].filter((code) => problemStatuses[code] === status).join(" or ");
  return [...statuses].map((status) => [String(status), { description: `A problem: ${some(status)}.`, content: { "application/problem+json": { schema } } }]);
}

/** JSON Schema of it; what has a name goes to `schemas`, and is referred to. */
function schemaOf(schema: z.ZodType, io: "input" | "output", schemas: Json): Json {
  const { $defs = {}, ...made } = z.toJSONSchema(schema, { metadata: named, io, target: "draft-2020-12" });
  delete made.$schema; // it is that of the whole document
  for (const [name, definition] of Object.entries($defs)) schemas[name] = referring(definition);
  return referring(made);
}

/** Zod keeps what is referred to beside the schema, OpenAPI in one place. */
function referring(made: object): Json {
  return JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json; // an object
}

/** A job of each type that is registered, with its payload's schema. */
function withPayloads(schemas: Json, contracts: readonly Contract[]): void {
  if (contracts.length === 0) return;
  const { NewJob: any } = schemas as { NewJob: { properties: Json } }; // registered by routes/jobs.ts
  const ofTypes = contracts.map((contract) => {
    const payload = jsonSchemaOf(contract) ?? { description: "What it must be, its schema does not say." };
    const id = `urn:postcommit:payload:${encodeURIComponent(contract.type)}`;
    // With a name of its own, what it refers to by # is looked for in it, and not in this document.
    return { ...any, title: contract.type, properties: { ...any.properties, type: { const: contract.type }, payload: { $id: id, ...payload } } };
  });
  schemas.NewJob = { anyOf: ofTypes };
}
