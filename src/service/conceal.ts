// Takes out of what is stored, logged and traced of a failure what the program knows to be secret: the values of its settings,
// and what stands in a payload under a name that looks sensitive. An app's own code may well put either into an error.

import type { Conceal } from "../outbox/failure.ts";
import { everySpelling, withoutSecrets } from "../handlers/outbound/secrets.ts";
import type { Settings } from "./config.ts";
import { sensitiveValues } from "./redact.ts";

/** More is not looked at: of a failure 8 KB are kept. */
const maxLength = 64 * 1024;
/** Of a payload so many values are looked for, and of each the beginning. */
const maxValues = 200;
const maxValueLength = 8 * 1024;

/** What `known` and the values under sensitive names in `from` are called in `text` becomes "[redacted]". */
export function concealing(known: readonly string[]): Conceal {
  const always = everySpelling(known);
  return (text, ...from) => {
    const seen = text.slice(0, maxLength);
    const own = everySpelling(from.flatMap(sensitiveValues).slice(0, maxValues).map((value) => value.slice(0, maxValueLength)));
    // The longest first, whichever it is, so that no half of one is left.
    const all = own.length === 0 ? always : [...new Set([...always, ...own])].sort((a, b) => b.length - a.length);
    return withoutSecrets(seen, all, seen.length < text.length);
  };
}

/** The same for secrets that are looked for when something has failed: most programs never need them. */
export function concealingLater(known: () => readonly string[]): Conceal {
  let conceal: Conceal | null = null;
  return (text, ...from) => (conceal ??= concealing(known()))(text, ...from);
}

/** The values of the settings that nobody may see. */
export function secretSettings(settings: Settings, databaseUrl: string): string[] {
  const { smtpUrl, webhookSecrets, payments, httpTokens, heartbeatUrl, channels, endpoints, webhooks } = settings;
  return [
    ...passwordOf(databaseUrl),
    ...(smtpUrl === null ? [] : passwordOf(smtpUrl)),
    ...webhookSecrets.flatMap(signingSecret),
    ...(payments === null ? [] : [payments.key]),
    ...Object.values(httpTokens).flatMap((tokens) => tokens.map(({ token }) => token)),
    ...(heartbeatUrl === null ? [] : [...passwordOf(heartbeatUrl), ...partsOf(heartbeatUrl)]),
    ...Object.values(webhooks).flatMap(({ url, secrets, headers }) => [...secrets.flatMap(signingSecret), ...partsOf(url), ...valuesOf(headers)]),
    ...Object.values(endpoints).flatMap((endpoint) => (endpoint.kind === "http" ? [...partsOf(endpoint.url, "query"), ...valuesOf(endpoint.headers)] : [])),
    ...Object.values(channels).flatMap((channel) => {
      if (channel.kind === "whatsapp") return [channel.token];
      return [...partsOf(channel.url), ...valuesOf(channel.kind === "webhook" ? channel.headers : undefined)];
    }),
  ];
}

/** As it stands in the URL, and as it is sent. One that is the user's or the database's name as well is none, as in development. */
export function passwordOf(text: string): string[] {
  if (!URL.canParse(text)) return [];
  const { username, password, hostname, pathname } = new URL(text);
  return [username, hostname, pathname.slice(1)].includes(password) ? [] : [password, decoded(password)];
}

function signingSecret(secret: string): string[] {
  return [secret, secret.replace(/^whsec_/, "")];
}

/** The path of such a URL may be the secret, or its query. */
function partsOf(text: string, where: "path and query" | "query" = "path and query"): string[] {
  if (!URL.canParse(text)) return [];
  const { pathname, search, searchParams } = new URL(text);
  const path = where === "query" ? [] : pathname.split("/");
  return [...path, ...search.slice(1).split(/[&=]/), ...path.map(decoded), ...searchParams.values()].filter(looksSecret);
}

function valuesOf(headers: Readonly<Record<string, string>> = {}): string[] {
  // "Bearer abc" may be told as "abc".
  return Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)]).filter(looksSecret);
}

/** Of what may be a secret or an ordinary word, such as "production" or "application/json", that which is none. */
function looksSecret(text: string): boolean {
  return text.length >= 8 && /\d/.test(text) && /[a-z]/i.test(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a % that encodes nothing
  }
}
