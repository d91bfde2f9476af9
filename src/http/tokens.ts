// Bearer tokens and what they are good for. Every command reads them with the settings, so nothing heavy is loaded here.
// Next: token-holders.ts (how they are compared).

import { eachOf } from "../outbox/each-of.ts";
import { OutboxError } from "../outbox/errors.ts";

/**
 * view: looks at everything, payloads without their secrets. operate: what view may, and enqueues, retries and cancels.
 * run: has due jobs run, and nothing else; what cron is given.
 */
export const roles = ["view", "operate", "run"] as const;
export type Role = (typeof roles)[number];

export interface NamedToken {
  /** Who has it, for the ledger of actions. Default: the role. */
  readonly name?: string;
  readonly token: string;
}

export type GivenToken = string | NamedToken;

/** Of each role one token, or two while whoever has it changes over. */
export type Tokens = { readonly [Each in Role]?: GivenToken | readonly GivenToken[] | undefined };

export const leastTokenLength = 32;
const maxOfRole = 2;

/** operate includes view. */
export function withIncluded(given: readonly Role[]): ReadonlySet<Role> {
  return new Set(given.includes("operate") ? [...given, "view"] : given);
}

/** The token in `Authorization: Bearer …`; null when there is none of that form. */
export function bearerOf(authorization: string | null): string | null {
  return /^bearer +([\w.~+/-]+=*) *$/i.exec(authorization ?? "")?.[1] ?? null;
}

/** Throws for tokens that are too short, too many, or could never be sent. Never shows one. */
export function checkTokens(role: Role, given: GivenToken | readonly GivenToken[]): readonly NamedToken[] {
  // From JavaScript, or for a variable that is not set, one may be anything.
  const each = eachOf(given);
  const all = each.map((one) => (typeof one === "object" && one !== null ? (one as NamedToken) : { token: one as string })); // checked below
  if (all.length > maxOfRole) throw new OutboxError("CONFIGURATION", `Expected at most ${maxOfRole} tokens of the role ${role}, one and its successor, got ${all.length}.`);
  for (const { name, token } of all) {
    if (name !== undefined && typeof (name as unknown) !== "string") throw new OutboxError("CONFIGURATION", `Expected the name of each token of the role ${role} to be a text, got a value of the type ${typeof name}.`);
    const length = lengthOf(token);
    if (length === null || length < leastTokenLength) {
      throw new OutboxError("CONFIGURATION", `Expected each token of the role ${role} to have ${leastTokenLength} characters at least, got ${length ?? "none"}. Make one with \`openssl rand -hex 32\`.`);
    }
    if (bearerOf(`Bearer ${token}`) !== token) throw new OutboxError("CONFIGURATION", `Expected each token of the role ${role} to be of letters, digits and - . _ ~ + /, got one with something else in it. Make one with \`openssl rand -hex 32\`.`);
  }
  return all;
}

function lengthOf(token: unknown): number | null {
  return typeof token === "string" ? token.length : null;
}
