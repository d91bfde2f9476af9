// data.sync page by page and batch by batch: an attempt goes on where the one before it ended, and each page is stored once.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dataSync, dataSyncHandler } from "../../src/handlers/data-sync.ts";
import type { Endpoint, HttpEndpoint } from "../../src/handlers/sync/endpoints.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { LocalServer } from "./local-server.ts";
import { serve, started, stopAll } from "./local-server.ts";

let test: TestOutbox;
/** What the source does with the page of this number, from 1: null fails. */
let pages: Map<number, { items: unknown[]; next?: string } | null>;
let source: LocalServer;
beforeAll(async () => {
  test = await testOutbox();
  await test.pool.query("create table customer (id bigint primary key, name text, version bigint not null, written integer not null default 1)");
  // Counts how often each row was written.
  await test.pool.query(`create function count_write() returns trigger language plpgsql as $$ begin new.written := old.written + 1; return new; end $$;
    create trigger count_write before update on customer for each row execute function count_write()`);
});
afterAll(() => test.close());
afterEach(stopAll);
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate customer");
  pages = new Map();
  source = await started(
    serve(({ url }, response) => {
      const page = pages.get(Number(new URL(url, "http://x").searchParams.get("page") ?? 1));
      response.writeHead(page ? 200 : 503).end(JSON.stringify(page ? { items: page.items, links: { next: page.next ?? null } } : "down"));
    }),
  );
});

const customers: Endpoint = { kind: "table", table: "customer", key: "id", version: "version", columns: { id: "id", name: "name", version: "version" } };
const api = (rest: Partial<HttpEndpoint> = {}): HttpEndpoint => ({ kind: "http", url: `${source.origin}/customers?page=1`, allowPrivate: true, itemsAt: "items", nextAt: "links.next", ...rest });
const item = (id: number) => ({ id, name: `n${id}`, version: 1 });
async function drain(endpoints: Record<string, Endpoint>) {
  await test.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  return await test.outbox.drain({ handlers: [dataSyncHandler({ endpoints })] });
}
const pull = () => test.outbox.enqueueAlone(dataSync, { source: "api", target: "customers" });
const stored = async () => (await test.pool.query<{ id: string; written: number }>("select id, written from customer order by id")).rows.map(({ id, written }) => [Number(id), written]);

describe("a source with pages, pulled into a table", () => {
  it("is read to its last page", async () => {
    pages.set(1, { items: [item(1), item(2)], next: "/customers?page=2" }).set(2, { items: [item(3)], next: "?page=3" }).set(3, { items: [] });
    const { id } = await pull();
    expect(await drain({ api: api(), customers })).toMatchObject({ done: 1 });
    expect((await test.job(id)).result).toEqual({ received: 3, written: 3, stale: 0, pages: 3 });
    expect(await stored()).toEqual([[1, 1], [2, 1], [3, 1]]);
  });

  it("goes on, after a failure, from the page that failed", async () => {
    pages.set(1, { items: [item(1)], next: "?page=2" }).set(2, null);
    const { id } = await pull();
    expect(await drain({ api: api(), customers })).toMatchObject({ retried: 1 });
    expect(await stored()).toEqual([[1, 1]]);
    pages.set(2, { items: [item(2)] });
    expect(await drain({ api: api(), customers })).toMatchObject({ done: 1 });
    expect(source.received.map(({ url }) => url)).toEqual(["/customers?page=1", "/customers?page=2", "/customers?page=2"]);
    expect((await test.job(id)).result).toEqual({ received: 2, written: 2, stale: 0, pages: 2 });
  });

  it("stores nothing of a page that has an item which is none", async () => {
    pages.set(1, { items: [item(1)], next: "?page=2" }).set(2, { items: [item(2), { name: "no id" }] });
    const { id } = await pull();
    expect(await drain({ api: api(), customers })).toMatchObject({ dead: 1 });
    expect(await stored()).toEqual([[1, 1]]);
    expect((await test.job(id)).last_error).toContain("data[1].id");
  });

  it.each([
    ["another host, which must not be given our headers", "http://elsewhere.example/customers", 'got one on "elsewhere.example"'],
    ["another port of this one", "http://127.0.0.1:1/", 'got one on "127.0.0.1:1"'],
    ["the page itself", "?page=1", "got that of the same page"],
    ["something that is no URL", 7, "got a number"],
  ])("refuses %s as its next page", async (_, next, message) => {
    pages.set(1, { items: [item(1)], next: next as string });
    const { id } = await pull();
    expect(await drain({ api: api({ headers: { Authorization: "Bearer abc" } }), customers })).toMatchObject({ dead: 1 });
    expect((await test.job(id)).last_error).toContain(message);
    expect(await stored()).toEqual([]);
  });
});

describe("data that is pushed in batches", () => {
  it("goes on, after a failure, with the batch that failed, under the same key", async () => {
    let fails = true;
    const target = await started(
      serve(({ body }, response) => {
        const refused = body.includes('"id":5') && fails;
        response.writeHead(refused ? 503 : 204).end();
      }),
    );
    const crm: Endpoint = { kind: "http", url: `${target.origin}/in`, allowPrivate: true, batchSize: 2 };
    const { id } = await test.outbox.enqueueAlone(dataSync, { source: "app", target: "crm", data: [1, 2, 3, 4, 5].map((n) => ({ id: n })) });
    expect(await drain({ crm })).toMatchObject({ retried: 1 });
    fails = false;
    expect(await drain({ crm })).toMatchObject({ done: 1 });
    const sent = target.received.map(({ body, headers }) => [(JSON.parse(body) as { id: number }[]).map((each) => each.id), headers["idempotency-key"]]);
    expect(sent).toEqual([
      [[1, 2], `${id}/0/0`],
      [[3, 4], `${id}/0/2`],
      [[5], `${id}/0/4`],
      [[5], `${id}/0/4`],
    ]);
    expect((await test.job(id)).result).toMatchObject({ received: 5, status: 204 });
  });

  it("of a source with pages is sent page by page", async () => {
    pages.set(1, { items: [item(1), item(2)], next: "?page=2" }).set(2, { items: [item(3)] });
    const target = await started(serve((_received, response) => response.writeHead(202).end()));
    const crm: Endpoint = { kind: "http", url: `${target.origin}/in`, allowPrivate: true };
    const { id } = await test.outbox.enqueueAlone(dataSync, { source: "api", target: "crm" });
    expect(await drain({ api: api(), crm })).toMatchObject({ done: 1 });
    expect(target.received.map(({ body }) => (JSON.parse(body) as unknown[]).length)).toEqual([2, 1]);
    expect((await test.job(id)).result).toEqual({ received: 3, status: 202, requests: 2 });
  });
});

it.each([[{ nextAt: "a..b" }], [{ batchSize: 0 }], [{ batchSize: 1.5 }]])("the endpoint %j is refused", (rest) => {
  expect(() => dataSyncHandler({ endpoints: { it: { ...api(), ...rest } } })).toThrow(/endpoints\["it"\]\.(nextAt|batchSize)/);
});
