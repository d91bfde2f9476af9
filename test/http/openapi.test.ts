// The OpenAPI document against the server, both ways: support.ts holds every answer of these tests against it; here every
// status that it documents is provoked, and then it is fuzzed.
import fc from "fast-check";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { createHttpHandler } from "../../src/http.ts";
import { defineJob } from "../../src/index.ts";
import * as contracts from "../../src/jobs.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import { propertySeed } from "../support/property-seed.ts";
import type { Asking, Client, Said } from "./support.ts";
import { clientOf, operationAt, theDocument, tokens, validatorOf } from "./support.ts";

let test: TestOutbox;
let client: Client;
const metrics = { text: () => Promise.resolve({ contentType: "text/plain", body: "jobs 1\n" }) };
const handlers = [worksBy(() => Promise.resolve(null))];
const none = "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61";
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox, { handlers, metrics });
});
afterAll(() => test.close());

it("is a valid OpenAPI 3.1 document, with the payloads of all types", async () => {
  const handler = createHttpHandler(test.outbox, { tokens, contracts: [...Object.values(contracts), defineJob({ type: "tree/ö", schema: z.object({ get children() { return z.array(tree); } }) })] });
  const response = await handler(new Request("http://localhost/jobs-admin/api/openapi.json", { headers: { authorization: `Bearer ${tokens.view}` } }));
  const document = (await response.json()) as Awaited<ReturnType<typeof theDocument>> & { servers: unknown };
  const { valid, errors } = await new Validator().validate({ ...structuredClone(document) });
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
  expect(document.servers).toEqual([{ url: "/jobs-admin" }]);
  const body = document.paths["/api/jobs"]?.post?.requestBody?.content["application/json"]?.schema ?? {};
  const fits = validatorOf(document, body);
  expect(fits({ type: "email.send", payload: { to: "ada@example.com", subject: "Hello", body: "It works." }, priority: "high" })).toBe(true);
  expect(fits({ jobs: [{ type: "audit.log", payload: { event: "seen" } }, { type: "tree/ö", payload: { children: [{ children: [] }] } }] })).toBe(true);
  for (const wrong of [{ type: "email.send", payload: {} }, { type: "nobodys", payload: {} }, { type: "audit.log" }, { type: "tree/ö", payload: { children: [{ children: 1 }] } }, {}, { jobs: [] }]) expect([wrong, fits(wrong)]).toEqual([wrong, false]);
});
const tree = z.object({ get children() { return z.array(tree); } });

it("has every route that there is, and none that there is not", async () => {
  const { paths } = await theDocument();
  // What it documents is there; and beside it nothing: the methods of each path are named by its 405.
  for (const [path, operations] of Object.entries(paths)) {
    const { status, headers } = await client.ask("DELETE", path.replace("{id}", none));
    const allowed = (headers.get("allow") ?? "").split(", ").filter((method) => method !== "HEAD").map((method) => method.toLowerCase());
    expect({ path, status, allowed: allowed.sort() }).toEqual({ path, status: 405, allowed: Object.keys(operations).sort() });
  }
  expect(Object.keys(paths)).toHaveLength(14);
});

it("every status that is documented is really answered, as documented", async () => {
  const document = await theDocument();
  const seen = new Map<string, Set<number>>();
  const noted = (method: string, path: string, { status }: Said) => {
    const key = operationAt(document, method, path)?.key ?? "";
    seen.set(key, (seen.get(key) ?? new Set()).add(status));
  };
  const failingBy = (error: Error) => clientOf(test.outbox, { handlers, metrics, tokens: {}, authenticate: () => Promise.reject(error) });
  const unwell = clientOf(test.outbox, { handlers, ready: () => Promise.resolve({ ready: false, problems: ["x"] }) });
  const hasty = clientOf(test.outbox, { handlers, metrics, timeLimit: "100ms", tokens: {}, authenticate: (request) => (request.headers.has("x-operate") ? { role: ["operate", "run"] } : new Promise<null>(() => undefined)) });
  const small = clientOf(test.outbox, { handlers, maxBodyBytes: 100 });
  const json = { "content-type": "application/json" };

  // What every guarded route does alike.
  for (const [template, operations] of Object.entries(document.paths)) {
    const path = template.replace("{id}", none);
    for (const [lower, operation] of Object.entries(operations)) {
      const method = lower.toUpperCase();
      if (template.startsWith("/health")) continue;
      const everything = template.endsWith("/process") && lower === "post" ? tokens.run : tokens.operate;
      const ask = async (who: Client, asking?: Asking, query = "") => noted(method, path, await who.ask(method, path + query, asking));
      await ask(client);
      await ask(client, { token: everything === tokens.run ? tokens.view : lower === "get" ? (template.endsWith("/process") ? tokens.view : tokens.run) : tokens.view });
      await ask(failingBy(new Error("x")));
      await ask(failingBy(Object.assign(new Error("x"), { code: "ECONNREFUSED" })));
      await ask(hasty);
      if (operation.parameters.some((parameter) => parameter.in === "query")) await ask(client, { token: lower === "get" && template.endsWith("/process") ? tokens.run : everything }, "?nothing=1");
      if (template.includes("{id}")) noted(method, path, await client.ask(method, path.replace(none, "7"), { token: everything }));
      if (operation.requestBody === undefined) continue;
      await ask(client, { token: everything, raw: "{", headers: json });
      await ask(client, { token: everything, raw: "{}", headers: { "content-type": "text/plain" } });
      await ask(small, { token: everything, body: { reason: "x".repeat(200) } });
      await ask(hasty, { raw: new ReadableStream(), headers: { ...json, "x-operate": "1" } });
    }
  }

  // And what is each one's own.
  const get = async (path: string, token: string, who = client) => noted("GET", path, await who.get(path, { token }));
  const post = async (path: string, token: string, body?: unknown, who = client) => {
    const answer = await who.post(path, { token, body });
    noted("POST", path, answer);
    return answer;
  };
  for (const path of ["/health", "/health/ready", "/api/jobs/stats", "/api/monitoring/queue/stats", "/api/monitoring/queue/health", "/api/monitoring/queue/info", "/api/openapi.json", "/metrics", "/api/jobs", "/api/jobs/process"]) await get(path, tokens.view);
  for (const path of ["/health/ready", "/api/monitoring/queue/health"]) await get(path, tokens.view, unwell);
  const job = (dedupeKey: string) => ({ type: "work", payload: 1, dedupeKey });
  const { body: stored } = await post("/api/jobs", tokens.operate, job("a"));
  await post("/api/jobs", tokens.operate, job("a"));
  await post("/api/jobs", tokens.operate, { type: "greet", payload: {} });
  await get(`/api/jobs/${stored.id}`, tokens.view);
  await get(`/api/jobs/${stored.id}/why`, tokens.view);
  for (const action of ["cancel", "cancel", "retry"]) await post(`/api/jobs/${stored.id}/${action}`, tokens.operate, {});
  await post("/api/jobs/process", tokens.run, {});
  await post(`/api/jobs/${stored.id}/retry`, tokens.operate, {});
  for (const path of [`/api/jobs/${none}/retry`, `/api/jobs/${none}/cancel`]) await post(path, tokens.operate, {});
  for (const path of [`/api/jobs/${none}`, `/api/jobs/${none}/why`]) await get(path, tokens.view);
  await post("/api/jobs/process", tokens.run, { waitForJobId: none });
  noted("GET", "/api/jobs/process", await client.get(`/api/jobs/process?waitForJobId=${none}`, { token: tokens.run }));
  await get("/api/jobs/process", tokens.run, clientOf(test.outbox));
  const locked = clientOf({ ...test.outbox, drain: async () => ({ ...(await test.outbox.drain({ handlers })), stopReason: "locked" as const }) }, { handlers });
  await get("/api/jobs/process", tokens.run, locked);
  await post("/api/jobs/process", tokens.run, {}, locked);

  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const key = `${method.toUpperCase()} ${path}`;
      expect({ key, statuses: [...(seen.get(key) ?? [])].map(String).sort() }).toEqual({ key, statuses: Object.keys(operation.responses).sort() });
    }
  }
});

/** What zod makes. */
interface JsonSchema {
  readonly $ref?: string;
  readonly anyOf?: readonly unknown[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly items?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Something that fits the schema, or nearly. */
function arbitraryOf(schema: unknown, schemas: Readonly<Record<string, unknown>>, depth = 0): fc.Arbitrary<unknown> {
  if (typeof schema !== "object" || schema === null || depth > 8) return fc.jsonValue({ maxDepth: 2 });
  const of = (inner: unknown) => arbitraryOf(inner, schemas, depth + 1);
  const { $ref, anyOf, const: only, enum: some, type, properties = {}, required = [], items, pattern, format, minimum = 0, maximum = 1000 } = schema as JsonSchema;
  if (typeof $ref === "string") return of(schemas[$ref.replace("#/components/schemas/", "")]);
  if (anyOf !== undefined) return fc.oneof(...anyOf.map(of));
  if (only !== undefined) return fc.constant(only);
  if (some !== undefined) return fc.constantFrom(...some);
  if (format === "uuid") return fc.oneof(fc.uuid(), fc.constant(none));
  if (format === "date-time") return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
  if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern), { maxLength: 20 });
  switch (type) {
    case "string":
      return fc.string({ unit: "binary", maxLength: 30 });
    case "integer":
    case "number":
      return fc.oneof(fc.integer({ min: Math.max(minimum, -1000), max: Math.min(maximum, 1000) }), fc.constantFrom(minimum, maximum, 2 ** 53, -1, 0.5));
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(of(items), { maxLength: 4 });
    case "object":
      return fc.record(Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, of(inner)])), { requiredKeys: [...required] });
    default:
      return fc.jsonValue({ maxDepth: 3 });
  }
}

it("whatever is sent, the answer is a documented one, and never a 500", async () => {
  const document = await theDocument();
  const { schemas } = (document as unknown as { components: { schemas: Record<string, unknown> } }).components;
  const failures: unknown[] = [];
  const fuzzed = clientOf(test.outbox, { handlers, metrics, maxTime: "100ms", maxBodyBytes: 100_000, onError: (error) => failures.push(error) });
  const operations = Object.entries(document.paths).flatMap(([path, some]) => Object.entries(some).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  const request = fc.constantFrom(...operations).chain(({ path, method, operation }) => {
    const parameters = operation.parameters.filter((parameter) => parameter.in === "query").map(({ name, schema, explode }) => fc.tuple(fc.constant(explode === true ? `${name}.x` : name), fc.oneof(arbitraryOf(schema, schemas), fc.string({ unit: "binary" }))));
    const odd = fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
    const body = operation.requestBody === undefined ? fc.constant(undefined) : fc.oneof({ weight: 4, arbitrary: arbitraryOf(operation.requestBody.content["application/json"]?.schema, schemas) }, { weight: 1, arbitrary: fc.jsonValue() });
    return fc.record({
      method: fc.oneof({ weight: 20, arbitrary: fc.constant(method) }, { weight: 1, arbitrary: fc.constantFrom("PUT", "DELETE", "PATCH", "OPTIONS") }),
      path: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(none, stored) }, { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 40 }) }).map((id) => path.replace("{id}", encodeURIComponent(id.toWellFormed()))),
      query: fc.tuple(fc.subarray(parameters), fc.array(odd, { maxLength: 1 })).chain(([some, more]) => fc.tuple(...some).map((given) => [...given, ...more])),
      body,
      token: fc.constantFrom(tokens.view, tokens.operate, tokens.run, tokens.operate),
      key: fc.option(fc.stringMatching(/^[\x21-\x7e]{1,20}$/)),
    });
  });
  const stored = await test.aJob();
  await fc.assert(
    fc.asyncProperty(request, async ({ method, path, query, body, token, key }) => {
      const parameters = new URLSearchParams();
      for (const [name, value] of query) for (const each of [value].flat()) parameters.append(name.toWellFormed(), (typeof each === "string" ? each : JSON.stringify(each)).toWellFormed());
      const sent = method === "GET" || method === "OPTIONS" ? {} : { body };
      const { status } = await fuzzed.ask(method, `${path}${parameters.size > 0 ? `?${parameters.toString()}` : ""}`, { token, ...sent, headers: key === null ? {} : { "idempotency-key": key } });
      if (status >= 500) throw new Error(`answered ${status}: ${String(failures.at(-1))}`);
    }),
    { seed: propertySeed, numRuns: 400, endOnFailure: true },
  );
}, 120_000);
