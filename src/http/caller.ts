// Who asks, and whether he may. By a token of ours, or as the app says who knows its own users and staff.

import { eachOf } from "../outbox/each-of.ts";
import { Problem } from "./problem.ts";
import { tokenHolders } from "./token-holders.ts";
import type { Role, Tokens } from "./tokens.ts";
import { bearerOf, roles, withIncluded } from "./tokens.ts";

export type Caller =
  /** Somebody who looks after jobs, or a program. `name` is for the ledger. */
  | { readonly kind: "role"; readonly name: string; readonly roles: ReadonlySet<Role> }
  /** A user of the app: sees and changes his own jobs alone. */
  | { readonly kind: "user"; readonly user: string };

/** What an app says of a request. */
export type Authenticated = { readonly user: string } | { readonly role: Role | readonly Role[]; readonly name?: string } | null;

/** `incoming`: what the app's server made of the request (Express's req with its user, Fastify's request, …). */
export type Authenticate = (request: Request, incoming: unknown) => Authenticated | Promise<Authenticated>;

export interface Guard {
  readonly tokens?: Tokens;
  readonly authenticate?: Authenticate;
}

/** Who may use a route. */
export interface Access {
  /** Any of these. */
  readonly roles: readonly Role[];
  /** Users too, as far as their own jobs go. */
  readonly users?: boolean;
}

export type CallerOf = (request: Request, incoming: unknown) => Promise<Caller | null>;

/** A token of ours is looked for first, then the app is asked; with neither nobody gets in. */
export function callerBy({ tokens = {}, authenticate }: Guard): CallerOf {
  const holderOf = tokenHolders(tokens);
  return async (request, incoming) => {
    const token = bearerOf(request.headers.get("authorization"));
    const holder = token === null ? null : holderOf(token);
    if (holder !== null || authenticate === undefined) return holder;
    if (isForeign(request)) throw new Problem("forbidden", "Pages of other origins may not ask in the name of who is signed in.");
    return callerFrom(await authenticate(request, incoming));
  };
}

/** A page of another origin has sent it, with no more than the cookies that the browser adds by itself. */
function isForeign({ headers }: Request): boolean {
  return !headers.has("authorization") && ["cross-site", "same-site"].includes(headers.get("sec-fetch-site") ?? "");
}

/** Only what is exactly of one of the forms is let in: a slip in the app's callback must not open anything. */
function callerFrom(said: unknown): Caller | null {
  if (said === null || said === undefined || said === false) return null;
  if (typeof said === "object" && "user" in said && !("role" in said) && typeof said.user === "string" && said.user !== "") return { kind: "user", user: said.user };
  if (typeof said === "object" && "role" in said && !("user" in said)) {
    const known = eachOf(said.role).map((each) => roles.find((role) => role === each));
    if (known.length > 0 && known.every((role) => role !== undefined)) {
      const name = "name" in said && typeof said.name === "string" && said.name !== "" ? said.name : known.join("+");
      return { kind: "role", name, roles: withIncluded(known) };
    }
  }
  throw new TypeError('authenticate was expected to give back { user: "…" }, { role: "view" | "operate" | "run" } or null');
}

/** The caller, if he may; throws 401 or 403. */
export function admitted(caller: Caller | null, access: Access, tokenGiven: boolean): Caller {
  if (caller === null) {
    const error = tokenGiven ? ', error="invalid_token"' : "";
    throw new Problem("unauthenticated", tokenGiven ? "The token is not known here." : "A token is needed, in the header Authorization: Bearer ….", { headers: { "www-authenticate": `Bearer realm="postcommit"${error}` } });
  }
  if (caller.kind === "user" ? access.users === true : hasRole(caller, access.roles)) return caller;
  throw new Problem("forbidden", caller.kind === "user" ? "Users may not do this." : `This needs the role ${access.roles.join(" or ")}.`);
}

export function hasRole(caller: Caller | null, some: readonly Role[]): boolean {
  return caller?.kind === "role" && some.some((role) => caller.roles.has(role));
}

/** As the ledger of actions names him. */
export function actorOf(caller: Caller): string {
  return caller.kind === "user" ? `user ${caller.user}` : `http ${caller.name}`;
}
