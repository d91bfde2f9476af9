// The handler within each framework, mounted under a prefix, with the framework's own body parser before it.
import "reflect-metadata";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import express from "express";
import fastify from "fastify";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fastifyHandler, nodeHandler, routeHandlers } from "../../src/http.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, worksBy } from "../support/outbox.ts";
import type { Client } from "./support.ts";
import { asking, clientOf, tokens } from "./support.ts";

let test: TestOutbox;
let mounted: Client;
/** Who the framework says that it is: middleware of the app's has written it on its own request. */
const userOf = (incoming: unknown) => (typeof incoming === "object" && incoming !== null && "user" in incoming && typeof incoming.user === "string" ? incoming.user : null);
beforeAll(async () => {
  test = await testOutbox();
  mounted = clientOf(test.outbox, {
    handlers: [worksBy(() => Promise.resolve({ ran: true }))],
    authenticate: (_, incoming) => {
      const user = userOf(incoming);
      return user === null ? null : { user };
    },
  });
});
afterAll(() => test.close());
beforeEach(() => test.empty());

type Ask = Omit<Client, "handler">;
interface Framework {
  readonly name: string;
  /** Mounts the handler at /jobs-admin, with a user "ada" for requests that say so by x-user. */
  start(): Promise<{ readonly ask: Ask; stop(): Promise<unknown> }>;
}

const overTheNetwork = (port: number): Ask => asking((request) => fetch(new Request(request.url.replace("http://localhost", `http://127.0.0.1:${port}`), request)));
const asAda = (incoming: IncomingMessage) => {
  if (incoming.headers["x-user"] === "ada") Object.assign(incoming, { user: "ada" });
};
const marks = (incoming: IncomingMessage, _: ServerResponse, next: () => void) => {
  asAda(incoming);
  next();
};

async function nest(adapter: ExpressAdapter | FastifyAdapter) {
  // eslint-disable-next-line @typescript-eslint/no-extraneous-class, @typescript-eslint/no-unsafe-class-instance-assignment -- Nest asks for a class, and of its options reads the properties alone
  const app = await NestFactory.create({ module: class {} }, adapter, { logger: false });
  app.use(marks);
  app.use("/jobs-admin", nodeHandler(mounted.handler));
  await app.listen(0, "127.0.0.1");
  return { ask: overTheNetwork(Number(new URL(await app.getUrl()).port)), stop: () => app.close() };
}

const frameworks: Framework[] = [
  {
    name: "Next.js App Router",
    start() {
      // app/jobs-admin/[...path]/route.ts: export const { GET, HEAD, POST } = routeHandlers(handler)
      const exported: Record<string, (request: Request, context: unknown) => Promise<Response>> = { ...routeHandlers(mounted.handler) };
      const next = (request: Request) => {
        const method = exported[request.method];
        const context = { params: Promise.resolve({ path: new URL(request.url).pathname.split("/").slice(2) }), ...(request.headers.get("x-user") === "ada" && { user: "ada" }) };
        return method === undefined ? Promise.resolve(new Response(null, { status: 405 })) : method(request, context);
      };
      return Promise.resolve({ ask: asking(next), stop: () => Promise.resolve() });
    },
  },
  {
    name: "node:http",
    async start() {
      const listener = nodeHandler(mounted.handler);
      const server = createServer((incoming, outgoing) => {
        asAda(incoming);
        void listener(incoming, outgoing);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return { ask: overTheNetwork((server.address() as AddressInfo).port), stop: () => new Promise((resolve) => server.close(resolve)) };
    },
  },
  ...[true, false].map((parsed) => ({
    name: `Express 5 ${parsed ? "with express.json() before it" : "without a body parser"}`,
    async start() {
      const app = express();
      app.use(marks);
      if (parsed) app.use(express.json({ limit: "5mb" }), express.urlencoded(), express.text());
      app.use("/jobs-admin", nodeHandler(mounted.handler));
      const server = await new Promise<ReturnType<typeof app.listen>>((resolve) => {
        const made = app.listen(0, "127.0.0.1", () => resolve(made));
      });
      return { ask: overTheNetwork((server.address() as AddressInfo).port), stop: () => new Promise((resolve) => server.close(resolve)) };
    },
  })),
  {
    name: "Fastify 5",
    async start() {
      const app = fastify();
      app.addHook("onRequest", (request, _, done) => {
        if (request.headers["x-user"] === "ada") Object.assign(request, { user: "ada" });
        done();
      });
      app.all("/jobs-admin/*", fastifyHandler(mounted.handler));
      await app.listen({ port: 0, host: "127.0.0.1" });
      return { ask: overTheNetwork((app.server.address() as AddressInfo).port), stop: () => app.close() };
    },
  },
  { name: "Nest 11 on Express", start: () => nest(new ExpressAdapter()) },
  { name: "Nest 11 on Fastify", start: () => nest(new FastifyAdapter()) },
];

describe.each(frameworks)("within $name", (framework) => {
  let running: Awaited<ReturnType<Framework["start"]>>;
  beforeAll(async () => void (running = await framework.start()));
  afterAll(() => running.stop());
  const at = (path: string) => `/jobs-admin${path}`;
  const operate = { token: tokens.operate };

  it("a job is enqueued, found by its Location, run and looked at", async () => {
    const { ask } = running;
    const payload = { name: "Ada — ☃", at: { day: "2026-11-22" } };
    const stored = await ask.post(at("/api/jobs"), { ...operate, body: { type: "greet", payload }, headers: { "idempotency-key": "k" } });
    expect(stored.status).toBe(201);
    expect(stored.headers.get("location")).toBe(at(`/api/jobs/${stored.body.id}`));
    expect((await ask.get(stored.headers.get("location") ?? "", operate)).body.payload).toEqual(payload);
    const { body: ran } = await ask.post(at("/api/jobs"), { ...operate, body: { type: "work", payload: null } });
    expect((await ask.post(at("/api/jobs/process"), { token: tokens.run, body: { action: "process-type", type: "work", waitForJobId: ran.id } })).body).toMatchObject({ report: { done: 1 }, job: { status: "done", result: { ran: true } } });
    expect((await ask.post(at("/api/jobs/process"), { token: tokens.run })).body.report).toMatchObject({ done: 0, stopReason: "empty" });
    expect((await ask.get(at("/api/jobs?type=work&type=other&payload.a=1"), operate)).body).toEqual({ jobs: [], next: null });
  });

  it("what is refused is refused alike: no token, another method, no JSON, broken JSON, a body too large", async () => {
    const { ask } = running;
    expect((await ask.get(at("/api/jobs"))).status).toBe(401);
    expect((await ask.ask("HEAD", at("/health"))).status).toBe(200);
    expect((await ask.post(at("/api/jobs"), { ...operate, raw: "x=1", headers: { "content-type": "text/plain" } })).status).toBe(415);
    expect((await ask.post(at("/api/jobs"), { ...operate, body: { type: "work", payload: 1, more: true } })).status).toBe(400);
    expect((await ask.post(at("/api/jobs"), { ...operate, body: { type: "work", payload: "x".repeat(3_000_000) } }).catch(() => ({ status: 413 }))).status).toBe(413);
    expect(await test.jobs()).toEqual([]);
  });

  it("the app's own user is known by what the framework has made of the request", async () => {
    const own = await test.aJob({ owner: "ada" });
    const other = await test.aJob({ owner: "bob" });
    const ada = { headers: { "x-user": "ada" } };
    expect((await running.ask.get(at(`/api/jobs/${own}`), ada)).status).toBe(200);
    expect((await running.ask.get(at(`/api/jobs/${other}`), ada)).status).toBe(403);
    expect((await running.ask.get(at(`/api/jobs/${own}`))).status).toBe(401);
  });
});
