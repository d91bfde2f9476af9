// Who does something to jobs or types, and why: what the ledger of actions records.

import { hostname } from "node:os";
import { OutboxError, shown } from "./errors.ts";
import { toJson } from "./payload.ts";

export interface ActorOptions {
  /** Who does it, for the ledger. Default: this process. */
  readonly actor?: string;
  /** Why, for the ledger. */
  readonly reason?: string;
}

export function by({ actor, reason }: { readonly actor?: string | undefined; readonly reason?: string | null | undefined }): { actor: string; reason: string | null } {
  return { actor: actor === undefined ? `process ${process.pid}@${hostname()}` : text("actor", actor, 500), reason: reason === undefined || reason === null ? null : text("reason", reason, 2000) };
}

/** A text that people give, such as a name: not empty, not too long, and storable. */
export function text(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== "string" || value.length < 1 || value.length > maxLength) {
    throw new OutboxError("INVALID_OPTION", `Expected ${name} to be a text of 1 to ${maxLength} characters, got ${shown(value)}.`);
  }
  toJson("action", value, name); // refuses NULs and broken surrogates
  return value;
}
