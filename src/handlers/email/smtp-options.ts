// From an SMTP URL to nodemailer's options: who is called, with which time limits, and when TLS is a must.
// A password never leaves in clear text, except to this very machine. Next: smtp.ts.

import { isIPv4 } from "node:net";
import type { SMTPTransportOptions } from "nodemailer";
import { OutboxError } from "../../outbox/errors.ts";

export type SmtpOptions = SMTPTransportOptions & { readonly host: string; readonly port: number };

const form = "smtp://user:password@host:587 or smtps://user:password@host:465";

/**
 * Understands `?requireTLS=true` (no mail without TLS) and `?tls.rejectUnauthorized=false` (take any certificate).
 * Throws OutboxError CONFIGURATION; the message never holds the password.
 */
export function smtpOptions(smtpUrl: string): SmtpOptions {
  const url = parse(smtpUrl);
  const auth = credentials(url);
  const { requireTls, anyCertificate } = flags(url);
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  // nodemailer asks DNS before the hosts file, and whoever answers could name another machine as this one.
  const host = name === "localhost" ? "127.0.0.1" : name;
  const local = isLoopback(host);
  if (auth !== null && anyCertificate && !local) {
    throw refused(`tls.rejectUnauthorized=false together with a password for ${host}: anybody in between could read it. Trust the server's certificate with NODE_EXTRA_CA_CERTS instead`);
  }
  const port = url.port === "" ? (url.protocol === "smtps:" ? 465 : 587) : Number(url.port);
  return {
    host,
    port,
    secure: url.protocol === "smtps:" || port === 465,
    requireTLS: requireTls || (auth !== null && !local),
    // A mail server on this machine usually shows a certificate that nobody signed; there is no network to protect.
    tls: { rejectUnauthorized: !(local || anyCertificate) },
    ...(auth === null ? {} : { auth }),
    dnsTimeout: 10_000,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 60_000,
    // A server that does not close its side must not keep a drain from ending.
    socketCloseTimeout: 1_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function parse(smtpUrl: string): URL {
  if (!URL.canParse(smtpUrl)) throw refused("something that is no URL; in the user and the password @, :, /, ? and # are written %40, %3A, %2F, %3F and %23");
  const url = new URL(smtpUrl);
  if (url.protocol !== "smtp:" && url.protocol !== "smtps:") throw refused(`a URL that begins with ${url.protocol}//`);
  if (url.hostname === "") throw refused("a URL without a host");
  if (!["", "/"].includes(url.pathname) || url.hash !== "") throw refused("a URL with a path or a #");
  return url;
}

function credentials(url: URL): { user: string; pass: string } | null {
  if (url.username === "" && url.password === "") return null;
  try {
    return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  } catch (error) {
    // The cause would be harmless, but it says nothing more.
    if (error instanceof URIError) throw refused("a user or password with a % that encodes nothing; % itself is written %25");
    throw error;
  }
}

function flags(url: URL): { requireTls: boolean; anyCertificate: boolean } {
  const known = { requireTls: false, anyCertificate: false };
  for (const [name, value] of url.searchParams) {
    if (name === "requireTLS" && value === "true") known.requireTls = true;
    else if (name === "tls.rejectUnauthorized" && value === "false") known.anyCertificate = true;
    // Its name is not shown: after a bare "?" in a password it would be the rest of the password.
    else throw refused("a parameter other than ?requireTLS=true and ?tls.rejectUnauthorized=false");
  }
  return known;
}

function isLoopback(host: string): boolean {
  return host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

function refused(got: string): OutboxError {
  return new OutboxError("CONFIGURATION", `Expected the SMTP URL in the form ${form}, got ${got}.`);
}
