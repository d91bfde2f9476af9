// Requests by HTTP: bodies, headers, paths and tokens of any kind are answered by what is documented, never by an error of
// ours; a token lets in only when it is exactly one that was given. By the OpenAPI document: test/http/openapi.test.ts.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { patternOf, placeBy } from "../../src/http/base-path.ts";
import { readJson } from "../../src/http/body.ts";
import { Problem } from "../../src/http/problem.ts";
import { bearerOf, checkTokens } from "../../src/http/tokens.ts";
import type { Client } from "../http/support.ts";
import { clientOf, theDocument, tokens } from "../http/support.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { fuzz, fuzzTimeoutMs, nastyNames, nearly, oddJson, oddText, oddValue, outcomeOf, refusedAs, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
let test: TestOutbox;
let client: Client;
const failures: unknown[] = [];
beforeAll(async () => {
  test = await testOutbox();
  client = clientOf(test.outbox, { maxBodyBytes: 10_000, onError: (error) => failures.push(error) });
  await theDocument();
});
afterAll(() => test.close());

const json = { "content-type": "application/json" };
const name = fc.oneof(fc.constantFrom(...nastyNames, "type", "payload", "jobs"), oddText);
const entry = fc.tuple(name, oddJson);
const object = fc.array(entry, { maxLength: 4 }).map((entries) => Object.fromEntries(entries));

describe("a body", () => {
  const slip = fc.record({ at: fc.nat(100), puts: fc.constantFrom("", ",", "}", "]", '"', "\\", "\u0000", "\u2028", "1e400", "NaN", "//") });
  const text = fc.oneof(oddJson.map((value) => JSON.stringify(value)), object.map((value) => JSON.stringify(value)), fc.tuple(object, slip).map(([value, { at, puts }]) => `${JSON.stringify(value).slice(0, at)}${puts}${JSON.stringify(value).slice(at + 1)}`), fc.tuple(fc.constantFrom("[", '{"a":', "[[[", '"'), fc.nat(3000)).map(([piece, times]) => piece.repeat(times)));
  const type = fc.oneof({ weight: 4, arbitrary: fc.constantFrom("application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/problem+json") }, fc.stringMatching(/^[\x21-\x7e][\x20-\x7e]{0,30}$/), soupOf(["application/", "json", "+json", ";", "charset=", "utf-8", "utf-16", " "].map((piece) => piece), 5).map((each) => each.replaceAll(/[^\x20-\x7e]/g, "")));

  it("in whatever pieces it arrives, is what JSON.parse makes of its bytes, or a problem", { timeout }, async () => {
    const bytes = fc.oneof({ weight: 4, arbitrary: text.map((each) => Buffer.from(each)) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each)) });
    await fuzz(fc.tuple(bytes, type, fc.array(fc.nat(3000), { maxLength: 3 }), fc.constantFrom(null, "identity", "gzip")), 50, async ([given, contentType, cuts, encoding]) => {
      const places = [0, ...cuts.map((cut) => cut % (given.length + 1)).sort((a, b) => a - b), given.length];
      const pieces = places.slice(1).map((end, index) => given.subarray(places[index], end));
      const body = ReadableStream.from(pieces.map((piece) => new Uint8Array(piece)));
      const request = new Request("http://localhost/", { method: "POST", body, duplex: "half", headers: { "content-type": contentType, ...(encoding !== null && { "content-encoding": encoding }) } });
      const { value, refusal } = await outcomeOf(() => readJson(request, 5000, new AbortController().signal), (error) => error instanceof Problem && error.status >= 400 && error.status < 500);
      if (refusal !== undefined) return;
      expect(given.length).toBeLessThanOrEqual(5000);
      expect(value).toEqual(given.length === 0 ? undefined : JSON.parse(given.toString()));
      expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    });
  });

  it("of an enqueue stores what it says, or nothing", { timeout }, async () => {
    const job = fc.record({ type: fc.constant("work"), payload: fc.oneof(oddJson, object), priority: fc.constantFrom<unknown>("high", 5, 1e9, "constructor"), delay: fc.constantFrom<unknown>("1h", "99999999999999d", "9".repeat(400) + "d", 1e300, 5), dedupeFor: fc.constantFrom<unknown>("1h", "forever", "99999999999d"), dedupeKey: oddText, owner: oddText, runAt: fc.constantFrom("2026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"), tags: fc.array(oddText, { maxLength: 2 }) }, { requiredKeys: ["type", "payload"] });
    await fuzz(fc.oneof(nearly(job), nearly(fc.record({ jobs: fc.array(job, { maxLength: 2 }) })), job), 10, async (body) => {
      failures.length = 0;
      const { status } = await client.post("/api/jobs", { token: tokens.operate, body });
      if (status >= 500) throw new Error(`answered ${status}: ${String(failures.at(-1))}`);
      const { rows } = await test.pool.query<{ payload: unknown }>("delete from outbox returning payload");
      expect(rows.length > 0).toBe(status === 201);
      if (status === 201 && typeof body === "object" && body !== null && "payload" in body) expect(rows[0]?.payload).toEqual(JSON.parse(JSON.stringify(body.payload)));
    });
  });
});

describe("a token", () => {
  const each = fc.constantFrom(...Object.values(tokens));
  const spoiled = fc.tuple(each, fc.nat(50), fc.constantFrom("", "a", "=", "==", " ", "\t", ".", "%00", "A", "-", "x".repeat(5000))).chain(([token, at, put]) => fc.constantFrom(token.slice(0, at), token.slice(at), `${token}${put}`, `${put}${token}`, `${token.slice(0, at)}${put}${token.slice(at)}`, `${token.slice(0, at)}${put}${token.slice(at + 1)}`, token.toUpperCase(), token.split("-").reverse().join("-"), `${token},${token}`, `"${token}"`, token.replaceAll("-", "_")));
  const scheme = fc.constantFrom("Bearer ", "bearer ", "BEARER   ", "Bearer", "Basic ", "", "Bearer\t", "Token ", "Bearer Bearer ");

  it("lets in when it is exactly one of those that were given, whole, and in no other case", { timeout }, async () => {
    const known: readonly string[] = Object.values(tokens);
    await fuzz(fc.tuple(scheme, fc.oneof(each, spoiled, oddText), fc.constantFrom("", " ", "  ")), 20, async ([before, token, after]) => {
      const header = `${before}${token}${after}`;
      if (!/^[\t\x20-\x7e]*$/.test(header)) return; // no request can carry it
      const { status } = await client.get("/api/monitoring/queue/info", { headers: { authorization: header } });
      const [, said] = /^bearer +(\S+)$/i.exec(header.trim()) ?? [];
      // run may not look.
      const wanted = said === undefined || !known.includes(said) ? 401 : said === tokens.run ? 403 : 200;
      expect([header, status]).toEqual([header, wanted]);
    });
  });

  it("that is configured is one that a request can carry, or refused without being shown", { timeout }, async () => {
    const given = fc.oneof(fc.stringMatching(/^[\w.~+/-]{30,40}=*$/), oddText.map((text) => `${text}${"s3cret".repeat(6)}`), oddValue);
    await fuzz(fc.oneof(given, fc.array(given, { maxLength: 3 }), fc.record({ name: oddText, token: given })), 50, async (some) => {
      const { value = [], refusal } = await outcomeOf(() => checkTokens("view", some as string), refusedAs("CONFIGURATION"));
      expect(refusal?.message ?? "").not.toContain("s3cret");
      for (const { token } of value) expect([token.length >= 32, bearerOf(`Bearer ${token}`)]).toEqual([true, token]);
    });
  });
});

it("any path and any headers are answered, and what is given back of them is harmless", { timeout }, async () => {
  const path = soupOf(["/api/jobs", "/", "..", "%2e%2e", "%", "%00", "%2f", "?", "#", "why", "0198f2c4-6f00-7000-8000-000000000001", "health", "{id}", "\\", ";", ":id", "//"], 6);
  const header = fc.tuple(fc.constantFrom("x-request-id", "idempotency-key", "content-length", "content-type", "accept", "sec-fetch-site", "traceparent", "x-forwarded-for", "host"), fc.oneof(fc.stringMatching(/^[\x21-\x7e]{0,200}$/), fc.constantFrom("-1", "NaN", "1e400", "0x10", "application/json", "cross-site", "\u00e9")));
  await fuzz(fc.tuple(fc.constantFrom("GET", "POST", "HEAD", "PUT", "OPTIONS", "PROPFIND"), path, fc.array(header, { maxLength: 3 })), 20, async ([method, at, headers]) => {
    const url = URL.parse(`http://localhost/${at}`.replaceAll(/[\r\n\t]/g, ""));
    if (url === null) return;
    const request = new Request(url, { method, headers: new Headers([["authorization", `Bearer ${tokens.operate}`], ...headers]), ...(method === "POST" && { body: "{}" }) });
    const response = await client.handler(request);
    expect([method, url.href, headers, response.status < 500]).toEqual([method, url.href, headers, true]);
    expect(response.headers.get("x-request-id")).toMatch(/^[\w.:~-]{1,128}$/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });
});

it("wherever it is mounted, the path of a route is found behind the prefix, and the two together are the path", { timeout }, async () => {
  const routes = ["/api/jobs", "/api/jobs/{id}", "/api/jobs/{id}/why", "/health"];
  const place = placeBy(routes, null);
  const segment = fc.oneof(fc.constantFrom("api", "jobs", "health", "why", "a.b", "(", "[^/]+", "%2F", ""), oddText.map((text) => encodeURIComponent(text.toWellFormed())));
  await fuzz(fc.array(segment, { maxLength: 8 }).map((segments) => `/${segments.join("/")}`), 50, (pathname) => {
    const { base, path } = place(pathname);
    expect(base + path).toBe(pathname);
    const fits = (each: string) => routes.some((route) => patternOf(route).test(each));
    expect(fits(path)).toBe(pathname.split("/").some((_, index, all) => index > 0 && fits(`/${all.slice(index).join("/")}`)));
    expect(placeBy(routes, "/admin")(`/admin${pathname}`)).toEqual({ base: "/admin", path: pathname });
  });
});

it("an idempotency key is the dedupe key that it says, or refused", { timeout }, async () => {
  const key = fc.oneof(fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,600}[\x21-\x7e])?$/), fc.constantFrom("k", "k".repeat(500), "k".repeat(501)));
  await fuzz(fc.tuple(key, fc.option(key)), 5, async ([header, dedupeKey]) => {
    const { status } = await client.post("/api/jobs", { token: tokens.operate, body: { type: "work", payload: 1, ...(dedupeKey !== null && { dedupeKey }) }, headers: { ...json, "idempotency-key": header } });
    const { rows } = await test.pool.query<{ dedupe_key: string }>("delete from outbox returning dedupe_key");
    const accepted = header.length <= 500 && (dedupeKey === null || dedupeKey === header);
    expect([status, rows]).toEqual(accepted ? [201, [{ dedupe_key: header }]] : [400, []]);
  });
});
