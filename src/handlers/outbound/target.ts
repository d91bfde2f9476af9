// From a URL to the addresses that a request may connect to. Everything that makes a target unacceptable is decided here.
// Next: request.ts, which connects to exactly these addresses.

import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { FinalError } from "../../outbox/errors.ts";
import { refusalOf } from "./address.ts";

/** Asks for all addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface OutboundSettings {
  /** Lets requests go to private, loopback and other non-public addresses too. Default: false. */
  readonly allowPrivate?: boolean;
  /** Default: the system's resolver, /etc/hosts included. */
  readonly resolve?: Resolve;
}

export interface Target {
  readonly url: URL;
  /** A name or an address; without the brackets of an IPv6 address. */
  readonly hostname: string;
}

const systemResolver: Resolve = (hostname) => lookup(hostname, { all: true, verbatim: true });

/**
 * Reads a URL as browsers do, so that 127.1, 0x7f.1 and 2130706433 all are 127.0.0.1, and refuses with a FinalError what
 * no request may go to. Messages never hold the query or credentials.
 */
export function parseTarget(text: string, settings: OutboundSettings): Target {
  // A text that is no URL may hold a secret anywhere: it is not shown.
  if (!URL.canParse(text)) throw new FinalError(`Expected an absolute URL such as "https://example.com/hook", got a text of ${text.length} characters that is none.`);
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new FinalError(`Expected a URL that begins with https:// or http://, got one that begins with "${url.protocol}".`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new FinalError(`Expected a URL without a user name and password, got both or one of them for "${url.host}". Send an Authorization header instead.`);
  }
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  // Node connects to a literal address without asking a resolver.
  if (isIP(hostname) !== 0) checkAddress(hostname, hostname, settings);
  return { url, hostname };
}

/** Every address of the target, each of them checked. One that must not be reached refuses them all. */
export async function addressesOf({ hostname }: Target, settings: OutboundSettings): Promise<LookupAddress[]> {
  const literal = isIP(hostname);
  if (literal !== 0) return [{ address: hostname, family: literal }];
  const addresses = await (settings.resolve ?? systemResolver)(hostname);
  if (addresses.length === 0) throw new Error(`the name "${hostname}" has no address`);
  for (const { address } of addresses) checkAddress(address, hostname, settings);
  // A copy: whoever gave out the list cannot change it any more.
  return addresses.map(({ address, family }) => ({ address, family }));
}

function checkAddress(address: string, hostname: string, { allowPrivate = false }: OutboundSettings): void {
  const refusal = allowPrivate ? null : refusalOf(address);
  if (refusal === null) return;
  const shown = address === hostname ? address : `${address} for "${hostname}"`;
  throw new FinalError(`Expected a target with a public address, got ${shown} (${refusal}). Nothing was sent. A target in your own network is an endpoint with allowPrivate: true.`);
}
