// createOutbox: the core's outbox over a Postgres of the app's, given by its URL or by a pg pool that leads there.

import type { PoolConfig } from "pg";
import { withTrigger } from "../http/auto-trigger.ts";
import type { Trigger } from "../http/trigger.ts";
import type { Emit } from "../outbox/events.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { outboxOver } from "../outbox/outbox.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { Redrive } from "../outbox/redrive-policy.ts";
import { redrivePolicies } from "../outbox/redrive-policy.ts";
import type { Retention } from "../outbox/retention.ts";
import { retentionMs } from "../outbox/retention.ts";
import type { AlertsConfig } from "./alerts.ts";
import { alertsOf } from "./alerts.ts";
import { concealingLater, passwordOf } from "./conceal.ts";
import type { DatabaseOptions } from "./database.ts";
import { postgres } from "./database.ts";
import type { PrismaExtension } from "./prisma-extension.ts";
import { prismaExtension } from "./prisma-extension.ts";
import type { PrismaClientLike } from "./prisma-transactions.ts";
import { inPrisma } from "./prisma-transactions.ts";
import { compileSchedules } from "./schedules.ts";
import { openTelemetry } from "./telemetry/open-telemetry.ts";
import { version } from "./version.ts";

export interface CreateOutboxOptions extends DatabaseOptions {
  /**
   * postgresql://user:password@host:port/database, or a pool of the package pg, such as the one under PrismaPg.
   *
   * Of a pool it is taken where and as whom to connect: its address, credentials, TLS, `options` and `onConnect`. Its
   * connections are never borrowed. Those of the outbox plan their statements in their own way, which must not be met
   * by the app's; and a transaction that waits for the outbox while the outbox waits for a connection would stand still
   * for ever. So the pool may be as small as you like, be ended before or after, and the outbox has its own to close.
   *
   * Only what needs a connection opens one: `enqueue` uses the transaction that it is given. `maxConnections` limits them.
   */
  readonly connection: string | PgPool;
  /**
   * The app's Prisma client: handlers are then given transactions of it by `ctx.complete` and `ctx.checkpoint`, so that
   * they can write through the app's models; `Register` tells TypeScript so. Default: the outbox's own transactions.
   */
  readonly prisma?: PrismaClientLike;
  /** How long finished jobs are kept. Default: `{ done: "7d", cancelled: "7d", dead: "30d" }`. */
  readonly retention?: Retention;
  /** Dead letters that are redriven by themselves, by job type: `{ "webhook.send": { after: "1h", atMost: 3 } }`. Default: none. */
  readonly redrive?: Redrive;
  /** Thresholds, and who is told when one is reached: `{ deadLetters: 10, notify: [{ email: "ops@example.com" }] }`. Default: none. */
  readonly alerts?: AlertsConfig;
  /** Told of everything that happens; must not throw. Default: nothing is told. */
  readonly onEvent?: Emit;
  /** Spans around enqueues and attempts, when the app has registered an OpenTelemetry SDK. Default: true. */
  readonly tracing?: boolean;
  /**
   * For development, where neither a worker nor cron runs: after each enqueue the server at `url` is asked to run what is
   * due, 0.1 s, 1 s and 5 s later, because nobody tells the outbox when the transaction has committed. Default: nothing
   * is asked.
   */
  readonly trigger?: Trigger;
}

/** A `Pool` of the package pg, of whichever version or copy. */
export interface PgPool {
  readonly options: object;
  readonly totalCount: number;
}

/** What createOutbox gives an app. */
export interface AppOutbox extends Outbox {
  /**
   * For `prisma.$extends(outbox.prismaExtension())`: `tx.outbox.enqueue(…)` in interactive transactions, and
   * `prisma.$transaction([prisma.proposal.create(…), prisma.outbox.enqueue(…)])`. Awaited outside a transaction it
   * throws NotInTransactionError. A client that has no model `outbox` uses its own `$enqueue` and `$enqueueMany`.
   */
  prismaExtension(): PrismaExtension;
}

export function createOutbox({ connection, prisma, retention, redrive, alerts, onEvent = () => undefined, tracing = true, trigger, ...options }: CreateOutboxOptions): AppOutbox {
  const database = postgres(typeof connection === "string" ? urlOf(connection) : targetOf(connection), options);
  const made = outboxOver(database, {
    version,
    emit: onEvent,
    retention: retentionMs(retention),
    compileSchedules,
    tracing: tracing ? openTelemetry() : null,
    conceal: concealingLater(() => (typeof connection === "string" ? passwordOf(connection) : [])),
    ...(redrive !== undefined && { redrive: redrivePolicies(redrive) }),
    ...(alerts !== undefined && { alerts: alertsOf(alerts, null) }), // the names of webhooks are known to the handlers alone
    ...(prisma !== undefined && { inTransaction: inPrisma(prisma) }),
  });
  const outbox = trigger === undefined ? made : withTrigger(made, trigger);
  return { ...outbox, prismaExtension: () => prismaExtension(outbox) };
}

// From JavaScript, process.env.DATABASE_URL may well be undefined, and pg would go to some default server.
function urlOf(url: string): string {
  if (url !== "") return url;
  throw new OutboxError("CONFIGURATION", "Expected connection to be a Postgres URL, got an empty text. Is DATABASE_URL set?");
}

/** Of a pool's options those that say where and as whom it connects; not its limits, which are the app's own. */
function targetOf(pool: unknown): PoolConfig {
  if (typeof pool !== "object" || pool === null || !("totalCount" in pool && "options" in pool && typeof pool.options === "object")) {
    const got = typeof pool === "object" && pool !== null ? "an object that is neither" : pool === null ? "null" : typeof pool;
    throw new OutboxError("CONFIGURATION", `Expected connection to be a Postgres URL or a pg Pool, got ${got}. Is DATABASE_URL set?`);
  }
  // By name, because pg hides the password from whoever copies all of them.
  const { connectionString, host, port, user, password, database, ssl, options, stream, onConnect } = pool.options as PoolConfig;
  return { connectionString, host, port, user, password, database, ssl, options, ...(stream && { stream }), ...(onConnect && { onConnect }) };
}
