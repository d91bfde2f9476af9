// createOutbox: the core's outbox over a Postgres of the app's.

import type { Emit } from "../outbox/events.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { outboxOver } from "../outbox/outbox.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { Retention } from "../outbox/retention.ts";
import { retentionMs } from "../outbox/retention.ts";
import type { DatabaseOptions } from "./database.ts";
import { postgres } from "./database.ts";
import { compileSchedules } from "./schedules.ts";
import { version } from "./version.ts";

export interface CreateOutboxOptions extends DatabaseOptions {
  /** postgresql://user:password@host:port/database. Only what needs a connection of the outbox's own opens one; enqueue does not. */
  readonly connection: string;
  /** How long finished jobs are kept. Default: `{ done: "7d", cancelled: "7d", dead: "30d" }`. */
  readonly retention?: Retention;
  /** Told of everything that happens; must not throw. Default: nothing is told. */
  readonly onEvent?: Emit;
}

export function createOutbox({ connection, retention, onEvent = () => undefined, ...options }: CreateOutboxOptions): Outbox {
  // From JavaScript, process.env.DATABASE_URL may well be undefined, and pg would go to some default server.
  if (typeof connection !== "string" || connection === "") {
    throw new OutboxError("CONFIGURATION", `Expected connection to be a Postgres URL, got ${typeof connection}. Is DATABASE_URL set?`);
  }
  return outboxOver(postgres(connection, options), { version, emit: onEvent, retention: retentionMs(retention), compileSchedules });
}
