// Who does something to jobs or types, and why: what the ledger of actions records.

import { hostname } from "node:os";
import { text } from "./text.ts";

export interface ActorOptions {
  /** Who does it, for the ledger. Default: this process. */
  readonly actor?: string;
  /** Why, for the ledger. */
  readonly reason?: string;
}

export function by({ actor, reason }: { readonly actor?: string | undefined; readonly reason?: string | null | undefined }): { actor: string; reason: string | null } {
  return { actor: actor === undefined ? `process ${process.pid}@${hostname()}` : text("actor", actor, 500), reason: reason === undefined || reason === null ? null : text("reason", reason, 2000) };
}
