// The program's wiring: which Postgres, its connections, the outbox over it, the handlers. Opened by the commands.

import type { Database } from "../outbox/database.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import type { Emit } from "../outbox/events.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { outboxOver } from "../outbox/outbox.ts";
import { concealingLater, secretSettings } from "./conceal.ts";
import type { Settings } from "./config.ts";
import { postgres } from "./database.ts";
import { handlersOf } from "./handlers.ts";
import { migrationsDir } from "./place.ts";
import { inLazyPrisma } from "./prisma-transactions.ts";
import { compileSchedules } from "./schedules.ts";
import { openTelemetry } from "./telemetry/open-telemetry.ts";
import { version } from "./version.ts";

export interface Service {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly embedded: boolean;
  readonly database: Database;
  readonly outbox: Outbox;
  readonly handlers: readonly HandlerEntry[];
  /** Tells another listener too of everything that happens from now on. */
  hear(listener: Emit): void;
  close(): Promise<void>;
}

export interface ChosenDatabase {
  readonly url: string;
  readonly embedded: boolean;
  /** Gives the embedded Postgres up; the last one to do so stops it. */
  close(): Promise<void>;
}

export { migrationsDir };

/**
 * The Postgres to use: DATABASE_URL, or else the embedded one, which is created, started and migrated when needed.
 * In production there is no embedded one: a forgotten DATABASE_URL must not look like an empty outbox.
 */
export async function chooseDatabase(settings: Settings, root: string): Promise<ChosenDatabase> {
  if (settings.databaseUrl !== null) return { url: settings.databaseUrl, embedded: false, close: () => Promise.resolve() };
  if (settings.production) {
    throw new OutboxError("CONFIGURATION", "Expected DATABASE_URL to be set, because NODE_ENV is production: the embedded Postgres is for development only.");
  }
  const { openEmbedded } = await import("./embedded.ts");
  const server = await openEmbedded({ dataDir: settings.embeddedDir });
  try {
    const { migrate } = await import("./migrate.ts");
    await migrate(server.url, migrationsDir(root));
  } catch (error) {
    await server.close();
    throw error;
  }
  return { url: server.url, embedded: true, close: () => server.close() };
}

export async function openService(settings: Settings, root: string, emit: Emit): Promise<Service> {
  const chosen = await chooseDatabase(settings, root);
  const database = postgres(chosen.url);
  const app = settings.prisma === null ? null : inLazyPrisma(settings.prisma);
  const listeners = [emit];
  const toAll: Emit = (event) => {
    for (const listener of listeners) listener(event);
  };
  return {
    settings,
    databaseUrl: chosen.url,
    embedded: chosen.embedded,
    database,
    outbox: outboxOver(database, { version, emit: toAll, tracing: openTelemetry(), conceal: concealingLater(() => secretSettings(settings, chosen.url)), retention: settings.retention, redrive: settings.redrive, alerts: settings.alerts, compileSchedules, ...(app && { inTransaction: app.inTransaction }) }),
    handlers: handlersOf(settings),
    hear: (listener) => void listeners.push(listener),
    async close() {
      await app?.close();
      await database.close();
      await chosen.close();
    },
  };
}
