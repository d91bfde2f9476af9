// Whose a token is. Tokens are compared by their hashes, in a time that says nothing about them.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Caller } from "./caller.ts";
import type { GivenToken, Role, Tokens } from "./tokens.ts";
import { checkTokens, roles, withIncluded } from "./tokens.ts";

interface Known {
  readonly role: Role;
  readonly name: string;
  readonly hash: Buffer;
}

/** Who the holder of a token is; null: nobody. Every known token is compared with, whichever it is. */
export function tokenHolders(tokens: Tokens): (token: string) => Caller | null {
  const known = roles.flatMap((role) => knownOf(role, tokens[role]));
  return (token) => {
    const hash = hashOf(token);
    const matching = known.filter((each) => timingSafeEqual(each.hash, hash));
    const [first] = matching;
    return first === undefined ? null : { kind: "role", name: first.name, roles: withIncluded(matching.map(({ role }) => role)) };
  };
}

function knownOf(role: Role, given: GivenToken | readonly GivenToken[] | undefined): Known[] {
  if (given === undefined) return [];
  return checkTokens(role, given).map(({ token, name = role }) => ({ role, name, hash: hashOf(token) }));
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
