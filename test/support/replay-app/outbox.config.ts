// Handlers that try every way out of the process. TARGET is a server that counts who comes.

import { execSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { Worker } from "node:worker_threads";
import pg from "pg";
import type { Schema } from "postcommit";
import { defineConfig, defineJob, FinalError, handle } from "postcommit";
import type { PrismaClient } from "../../../generated/prisma/client.ts";

const { DATABASE_URL: connectionString = "", TARGET = "http://127.0.0.1:1", WITH_PRISMA } = process.env;
const target = new URL(TARGET);
const pool = new pg.Pool({ connectionString, max: 2 });
let client: PrismaClient | null = null;
/** Loaded when it is needed, for each test begins a process. */
async function prisma(): Promise<PrismaClient> {
  const [{ PrismaClient }, { PrismaPg }] = await Promise.all([import("../../../generated/prisma/client.ts"), import("@prisma/adapter-pg")]);
  return (client ??= new PrismaClient({ adapter: new PrismaPg({ connectionString, max: 3 }) }));
}

const waysOut: Record<string, () => unknown> = {
  fetch: async () => (await fetch(`${TARGET}/fetched`, { method: "POST", body: "{}" })).status,
  http: () => statusOf(httpRequest(`${TARGET}/http`, { method: "POST" })),
  https: () => statusOf(httpsRequest(`https://127.0.0.1:${target.port}/https`, { method: "PUT" })),
  tcp: () => closed(connect(Number(target.port), target.hostname).on("connect", function (this: ReturnType<typeof connect>) { this.write("HELLO\r\n"); })),
  tls: () => closed(connectTls({ host: target.hostname, port: Number(target.port) })),
  ipc: () => closed(connect("/tmp/postcommit-no-such.sock")),
  smtp: async () => (await import("nodemailer")).createTransport(`smtp://127.0.0.1:${target.port}`).sendMail({ from: "a@example.com", to: "b@example.com", text: "" }),
  otherPostgres: () => new pg.Client(`postgresql://a:b@127.0.0.1:${target.port}/c`).connect(),
  spawn: () => spawn("true"),
  exec: () => execSync("true"),
  thread: () => new Worker("", { eval: true }),
  datagram: () => createSocket("udp4").send("x", Number(target.port), target.hostname),
  exit: () => process.exit(0),
  kill: () => process.kill(process.pid),
  write: () => pool.query("insert into notification (user_id, type, message) values ('eve', 'x', 'x')"),
  prismaWrite: async () => (await prisma()).notification.create({ data: { userId: "eve", type: "x", message: "x" } }),
};

function statusOf(request: ReturnType<typeof httpRequest>): Promise<number | undefined> {
  return new Promise((resolve, reject) => request.on("response", (answer) => resolve(answer.resume().statusCode)).on("error", reject).end("{}"));
}

function closed(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve, reject) => socket.on("error", reject).on("close", () => resolve()));
}

const tryOut = defineJob<{ way: string }>({ type: "try.out" });
const stages = defineJob<{ tell?: string }>({ type: "stages" });
const named: Schema<{ fullName?: string }, { fullName: string }> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      const { fullName = "nobody" } = value as { fullName?: unknown }; // any object
      return typeof fullName === "string" ? { value: { fullName } } : { issues: [{ message: "expected a text", path: ["fullName"] }] };
    },
  },
};
const versioned = defineJob({
  type: "versioned",
  version: 2,
  schema: named,
  migrate: (payload) => ({ fullName: (payload as { name?: string }).name }), // what version 1 looked like
});
const odd = defineJob<{ how: string }>({ type: "odd" });

export default defineConfig({
  webhookSecret: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
  webhooks: { partner: { url: "https://partner.example/hooks/Sup3rS3cretPathOfTheirs", secrets: [`whsec_${Buffer.alloc(32, 8).toString("base64")}`], headers: { Authorization: "Bearer canary-of-headers" } } },
  payments: { key: "sk_test_canary_of_payments" },
  channels: { ops: { kind: "slack", url: "https://hooks.slack.example/services/T0/B0/canary" }, phone: { kind: "whatsapp", phoneNumberId: "1", token: "canary-of-whatsapp" } },
  endpoints: {
    crm: { kind: "http", url: "https://crm.example/items?key=canary-of-crm", itemsAt: "data.items", nextAt: "next" },
    copies: { kind: "table", table: "demo_proposal_copy", key: "id", version: "version" },
  },
  ...(WITH_PRISMA === undefined ? {} : { prisma }),
  handlers: [
    handle(tryOut, async ({ way }, ctx) => {
      ctx.log.info("trying", { way });
      if (way !== "all") return { got: await waysOut[way]?.() };
      const came: Record<string, string> = {};
      for (const [name, go] of Object.entries(waysOut)) came[name] = await Promise.resolve().then(go).then((got) => `went: ${typeof got}`, (error: unknown) => String(error));
      return came;
    }),
    handle(stages, async ({ tell }, ctx) => {
      console.log("on stdout");
      await ctx.progress(40, "soon");
      await ctx.checkpoint(async (tx) => {
        await insertInto(tx, "first");
        return { at: 1 };
      });
      const paid = await ctx.effect("pay", async (key) => (await fetch(`${TARGET}/pay`, { method: "POST", headers: { "Idempotency-Key": key, Authorization: "Bearer abc" }, body: JSON.stringify({ tell }) })).status);
      await ctx.complete(
        async (tx) => {
          await insertInto(tx, "second");
          await ctx.enqueue(tx, versioned, { fullName: "Ada" }, { orderingKey: "ada" });
          // It sees what it has written before.
          const { rows } = WITH_PRISMA === undefined ? { rows: await (tx as unknown as { query(text: string): Promise<object[]> }).query("select from notification") } : { rows: await (tx as unknown as PrismaClient).notification.findMany() };
          return rows.length;
        },
        (seen) => ({ seen, paid, token: "abc" }),
      );
    }),
    handle(versioned, ({ fullName }) => Promise.resolve({ fullName })),
    handle(odd, async ({ how }, ctx) => {
      switch (how) {
        case "read":
          return { jobs: (await pool.query<{ count: number }>("select count(*)::int as count from outbox")).rows[0]?.count, too: await (await prisma()).outbox.count() };
        case "hang":
          console.log("hanging");
          return new Promise(() => undefined);
        case "crash":
          setTimeout(() => {
            throw new Error("out of the blue");
          });
          return new Promise(() => undefined);
        case "reject":
          void Promise.reject(new Error("nobody awaits this"));
          return new Promise((resolve) => setTimeout(resolve, 20));
        case "snooze":
          return ctx.snooze("5m");
        case "final":
          throw new FinalError("no such order");
        case "swallow":
          await fetch(`${TARGET}/ok`);
          await Promise.resolve(waysOut["tcp"]?.()).catch(() => undefined);
          return { cached: false };
        default:
          throw new Error(`attempt ${ctx.attempt} of ${ctx.maxAttempts}, ${String(ctx.lastError)}`);
      }
    }),
    { type: "broken", load: () => Promise.reject(new Error("Cannot find module './gone.ts'")) },
  ],
});

async function insertInto(tx: unknown, message: string): Promise<void> {
  if (WITH_PRISMA === undefined) await (tx as { query(text: string, values: unknown[]): Promise<unknown> }).query("insert into notification (user_id, type, message) values ('ada', 't', $1)", [message]);
  else await (tx as PrismaClient).notification.create({ data: { userId: "ada", type: "t", message } });
}
