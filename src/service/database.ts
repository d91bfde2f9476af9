// The core's Database over pg: a small pool of the engine's own. It is never shared with an app's pool, where a
// transaction that waits for us while we wait for a connection would stand still for ever.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool, PoolClient, PoolConfig } from "pg";
import type { Database, Row } from "../outbox/database.ts";
import { failureOf } from "../outbox/failure.ts";
import { isTransient } from "../outbox/transient.ts";
import type { Answered } from "./unanswered.ts";
import { answeredOver } from "./unanswered.ts";

const connectTimeoutMs = 10_000;
const statementTimeoutMs = 60_000;
const closeTimeoutMs = 1_000;

/** How the engine's statements are planned, and handlers' own. */
const planning = [
  { setting: "plan_cache_mode", engine: "force_generic_plan", handlers: "auto" },
  { setting: "enable_seqscan", engine: "off", handlers: "on" },
  { setting: "enable_hashjoin", engine: "off", handlers: "on" },
  { setting: "enable_mergejoin", engine: "off", handlers: "on" },
  { setting: "jit", engine: "off", handlers: "on" },
];

export interface DatabaseOptions {
  /** Connections of the pool, at most; beats have one more of their own. Default: 4. */
  readonly maxConnections?: number;
  /** Default: 60,000. */
  readonly statementTimeoutMs?: number;
}

/** `connection` is a URL, or where and as whom pg is to connect. Connects when it is first used. */
export function postgres(connection: string | PoolConfig, options: DatabaseOptions = {}): Database {
  const limitMs = options.statementTimeoutMs ?? statementTimeoutMs;
  const maxConnections = options.maxConnections ?? 4;
  const target = typeof connection === "string" ? targetOf(connection) : connection;
  const pooled = isPooled(target.connectionString ?? "");
  const config: PoolConfig = {
    ...target,
    connectionTimeoutMillis: connectTimeoutMs,
    // The answer to a statement is waited for a little longer than the server may take: a connection that has died
    // without a word is noticed too.
    query_timeout: limitMs + 5_000,
    keepAlive: true,
    application_name: "postcommit",
    max: maxConnections,
    idleTimeoutMillis: 30_000,
    // Settings of the session, sent with the greeting. PgBouncer refuses them, and set later in its transaction mode
    // they would stay on a server connection that others use; there the role's defaults must do. The generic plan is
    // the one the engine's statements were written for; a custom one would be made anew for every claim. It is kept for
    // long: made while the table was empty, it must not be one that reads the whole table when it no longer is.
    ...(pooled ? {} : { options: `${target.options ?? ""} ${String.raw`-c default_transaction_isolation=read\ committed`} -c statement_timeout=${limitMs} -c datestyle=ISO ${planning.map(({ setting, engine }) => `-c ${setting}=${engine}`).join(" ")}` }),
  };
  let opening: Promise<Pool> | null = null;
  let closing: Promise<void> | null = null;
  const pool = () => (opening ??= openPool(config));
  // Handlers' own statements are planned as usual.
  const begin = `begin isolation level read committed${pooled ? "" : planning.map(({ setting, handlers }) => `; set local ${setting} = ${handlers}`).join("")}`;
  let nameOf: (text: string) => { name?: string } = pooled ? () => ({}) : statementNames();

  // Behind a pooler nobody knows which session is ours: there the time limit must do.
  const answered: Answered = pooled ? (_, answer) => answer : answeredOver(config);

  /** A connection of the pool may have been ended by the server while it idled: so may all, of which none has done anything. */
  async function begun(from: Pool): Promise<PoolClient> {
    for (let left = maxConnections; ; left -= 1) {
      const client = await from.connect();
      try {
        await answered(client, client.query(begin));
        return client;
      } catch (error) {
        client.release(true);
        if (left === 0 || !isTransient(error)) throw error;
      }
    }
  }

  async function query(text: string, values: readonly unknown[]): Promise<Row[]> {
    const client = await (await pool()).connect();
    let broken = false;
    try {
      return (await answered(client, client.query<Row>({ ...nameOf(text), text, values: [...values] }))).rows;
    } catch (error) {
      broken = true; // perhaps it was never answered
      throw error;
    } finally {
      client.release(broken);
    }
  }

  return {
    async query(text, values = []) {
      try {
        return await query(text, values);
      } catch (error) {
        if (!isOfAnotherSession(error)) throw error;
        nameOf = () => ({});
        return query(text, values);
      }
    },
    async transaction(work) {
      const client = await begun(await pool());
      let broken = false;
      try {
        const value = await work({ query: async (text, values = []) => (await answered(client, client.query<Row>(text, [...values]))).rows });
        await answered(client, client.query("commit"));
        return value;
      } catch (error) {
        await answered(client, client.query("rollback")).catch(() => {
          broken = true; // not to be used again
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
    canListen: !pooled,
    async dedicated(timeoutMs, onNotification) {
      const { default: pg } = await import("pg");
      const client = new pg.Client({ ...config, query_timeout: timeoutMs, connectionTimeoutMillis: Math.min(connectTimeoutMs, timeoutMs) });
      client.on("error", () => undefined); // the next statement on it fails, and its user is told then
      if (onNotification !== undefined) client.on("notification", onNotification);
      await client.connect();
      return {
        query: async (text, values = []) => (await client.query<Row>(text, [...values])).rows,
        // It is being thrown away: neither an error nor a peer that never answers is of interest.
        close: () => Promise.race([client.end().catch(() => undefined), sleep(closeTimeoutMs, undefined, { ref: false })]),
      };
    },
    // A pool may be ended but once, an outbox closed as often as one likes.
    async close() {
      closing ??= opening?.then((opened) => opened.end()) ?? null;
      await closing;
    },
  };
}

/** pg lets `options` of a URL win over those beside it, so they are taken out of it and joined to the engine's. */
function targetOf(url: string): PoolConfig {
  if (!URL.canParse(url)) return { connectionString: url };
  const parsed = new URL(url);
  const own = parsed.searchParams.get("options");
  if (own === null) return { connectionString: url };
  parsed.searchParams.delete("options");
  return { connectionString: parsed.href, options: own };
}

/**
 * The engine's own statements are few and constant, so each is parsed and planned once on a connection: planning the
 * claim takes longer than carrying it out. What handlers send in their transactions is not named: it may be anything.
 */
function statementNames(): (text: string) => { name: string } {
  const names = new Map<string, string>();
  return (text) => {
    // By what it says: in a session that others have used too, as happens behind a pooler that DATABASE_URL does not speak
    // of, a number might be another statement's name.
    const name = names.get(text) ?? `postcommit_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
    names.set(text, name);
    return { name };
  };
}

/**
 * The session has no such prepared statement, or has one that we have not made: somebody else's, behind a pooler that
 * DATABASE_URL does not speak of. Nothing has been carried out then, and without names it can be.
 */
function isOfAnotherSession(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "26000" || error.code === "42P05");
}

async function openPool(config: PoolConfig): Promise<Pool> {
  const { default: pg } = await import("pg");
  const pool = new pg.Pool(config);
  pool.on("error", () => undefined); // an idle connection broke; the pool drops it and opens another when asked
  // One that is in use may break whatever its user is doing: the next statement on it fails, and the pool does not take it
  // back. From its first moment on, for the packet that ends the greeting may hold the error too.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** Why the database could not be reached, and what to do about it, in one sentence or two. */
export function unreachable(error: unknown): string {
  const message = messageOf(error);
  if (message.includes("unsupported startup parameter")) {
    return `The database refuses the connection: ${message}. If DATABASE_URL leads to PgBouncer, add ?pgbouncer=true to it.`;
  }
  return `The database cannot be reached: ${message}. Check DATABASE_URL and that Postgres runs.`;
}

/** An AggregateError of several refused addresses has no message of its own. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join(", ");
  return failureOf(error).message;
}

/** Prisma's way of saying that the URL leads to PgBouncer: `?pgbouncer=true`. */
export function isPooled(url: string): boolean {
  return URL.canParse(url) && new URL(url).searchParams.get("pgbouncer") === "true";
}
