// Receivers like to repeat in their error what they were sent. This takes our secrets out of what is shown of an answer.

/** Not secret, and useful when an answer names them. Whatever else is sent as a header is taken for a secret. */
const harmless = new Set(["accept", "content-type", "idempotency-key", "user-agent", "webhook-id", "webhook-timestamp", "x-postcommit-source"]);
/** Shorter values would be found in ordinary words. */
const minLength = 6;
const redacted = "[redacted]";

/** The values of a request that must not be shown: those of its headers, of the query, and of the path if that is secret. */
export function secretsOf(headers: Readonly<Record<string, string>>, url: URL, secretPath = false): string[] {
  const values = Object.entries(headers)
    .filter(([name]) => !harmless.has(name.toLowerCase()))
    // "Bearer abc" may come back as "abc", Basic credentials decoded, a cookie by its value.
    .flatMap(([, value]) => [value, ...value.split(/\s+/), ...value.split(/[\s=,;]+/), ...value.split(/\s+/).flatMap(decodedCredentials)])
    .filter((value) => !/^(?:bearer|basic)$/i.test(value));
  const query = url.search.slice(1);
  const pairs = query.split("&").map((pair) => pair.slice(pair.indexOf("=") + 1));
  const path = secretPath ? [url.pathname, url.pathname.slice(1), ...url.pathname.split("/")] : [];
  return everySpelling([...values, ...[query, ...pairs, ...path].flatMap(decodings)]);
}

/** A part of a URL as it stands there, and as receivers read it. */
function decodings(part: string): string[] {
  const read = [decodeURI, decodeURIComponent, (text: string) => decodeURIComponent(text.replaceAll("+", " "))];
  return [
    part,
    ...read.map((decode) => {
      try {
        return decode(part);
      } catch {
        return part; // a % that encodes nothing; whoever repeats it does so as it is
      }
    }),
  ];
}

/** Of each of these values every form that an answer may hold it in, for `withoutSecrets`. */
export function everySpelling(values: readonly string[]): string[] {
  const secrets = values.filter((value) => value.length >= minLength).flatMap(spellings);
  return [...new Set(secrets)].sort((a, b) => b.length - a.length);
}

function decodedCredentials(word: string): string[] {
  const decoded = Buffer.from(word, "base64").toString("utf8");
  return decoded.includes(":") ? [decoded, decoded.slice(decoded.indexOf(":") + 1)] : [];
}

/** A secret as it may come back: as it is, within JSON (that within JSON or shown by Node too), HTML or a URL, and as base64. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const html = secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
  return [secret, inJson(secret), inJson(inJson(secret)), inJson(secret).replaceAll("\\", "\\\\"), html, html.replaceAll("'", "&#39;"), encodeURIComponent(secret.toWellFormed()), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url")];
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/**
 * `text` with every secret replaced; the longest first, so that no half of one is left. A text that was `cut` off may end
 * in the middle of one.
 */
export function withoutSecrets(text: string, secrets: readonly string[], cut = false): string {
  const shown = secrets.reduce((rest, secret) => rest.replaceAll(secret, redacted), text);
  return cut ? secrets.reduce(withoutBeginning, shown) : shown;
}

/** Without the beginning of `secret` at the very end of `text`. */
function withoutBeginning(text: string, secret: string): string {
  for (let length = Math.min(secret.length - 1, text.length); length >= minLength; length -= 1) {
    if (text.endsWith(secret.slice(0, length))) return text.slice(0, -length) + redacted;
  }
  return text;
}
