// createOutbox: the core's outbox over a Postgres of the app's.

import type { Emit } from "../outbox/events.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { outboxOver } from "../outbox/outbox.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { DatabaseOptions } from "./database.ts";
import { postgres } from "./database.ts";
import { version } from "./version.ts";

export interface CreateOutboxOptions extends DatabaseOptions {
  /** postgresql://user:password@host:port/database. Only what needs a connection of the outbox's own opens one; enqueue does not. */
  readonly connection: string;
  /** Told of everything that happens; must not throw. Default: nothing is told. */
  readonly onEvent?: Emit;
}

export function createOutbox({ connection, onEvent = () => undefined, ...options }: CreateOutboxOptions): Outbox {
  // From JavaScript, process.env.DATABASE_URL may well be undefined, and pg would go to some default server.
  if (typeof connection !== "string" || connection === "") {
    throw new OutboxError("CONFIGURATION", `Expected connection to be a Postgres URL, got ${typeof connection}. Is DATABASE_URL set?`);
  }
  return outboxOver(postgres(connection, options), version, onEvent);
}
