// Receivers like to repeat in their error what they were sent. This takes our secrets out of what is shown of an answer.

const secretNames = /auth|key|token|secret|password|cookie|signature|credential/i;
/** Sent on purpose, and useful when an answer names it. */
const known = new Set(["idempotency-key"]);
/** Shorter values would be found in ordinary words. */
const minLength = 6;

/** The values of a request that must not be shown: those of headers that authenticate, and those of the query. */
export function secretsOf(headers: Readonly<Record<string, string>>, url: URL): string[] {
  const values = Object.entries(headers)
    .filter(([name]) => secretNames.test(name) && !known.has(name.toLowerCase()))
    // "Bearer abc" may come back as "abc", Basic credentials decoded, a cookie by its value.
    .flatMap(([, value]) => [value, ...value.split(/\s+/), ...value.split(/[\s=,;]+/), ...value.split(/\s+/).flatMap(decodedCredentials)])
    .filter((value) => !/^bearer$/i.test(value));
  const query = [url.search.slice(1), ...url.searchParams.values()];
  return [...new Set([...values, ...query, ...query.map(encodeURIComponent)])].filter((value) => value.length >= minLength).sort((a, b) => b.length - a.length);
}

function decodedCredentials(word: string): string[] {
  const decoded = Buffer.from(word, "base64").toString("utf8");
  return decoded.includes(":") ? [decoded, decoded.slice(decoded.indexOf(":") + 1)] : [];
}

/** `text` with every secret replaced; the longest first, so that no half of one is left. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "[redacted]"), text);
}
