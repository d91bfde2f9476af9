// What of a job is shown to people: everything except values that look like secrets.

const redacted = "[redacted]";
/** An enqueue takes no more; plain SQL does, and neither walking down nor printing has room for all that Postgres can hold. */
const maxLevels = 200;
const deeper = `[deeper than ${maxLevels} levels]`;

// Long enough to be recognised inside a longer name: userPassword, x-api-key, stripe_secret.
const anywhere = /passw|passphrase|secret|token|authorization|credential|cookie|apikey|accesskey|privatekey|signingkey|encryptionkey|cardnumber|accountnumber/;
// Too short for that ("pan" is in "company"): a whole word of the name, as card is of cardLast4.
const words = new Set(["auth", "bearer", "card", "cvc", "cvv", "iban", "jwt", "otp", "pan", "pin", "pwd", "pass", "session", "ssn", "cnpj", "cpf"]);

/**
 * A row without its secrets. In the JSON fields, payload, result and checkpoint, the value under a name that looks sensitive
 * (password, secret, token, authorization, api key, card, cvc, iban, ssn, …) becomes "[redacted]", at any depth and in
 * lists too, whatever it is; null stays, because it gives nothing away. All other fields are shown: what is
 * known to be secret is kept out of lastError when that is written (conceal.ts).
 */
export function redactRow(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, ["payload", "result", "checkpoint"].includes(name) ? redact(value) : value]));
}

/** A JSON value without the values under names that look sensitive. */
export function redact(value: unknown, levels = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (levels > maxLevels) return deeper;
  if (Array.isArray(value)) return value.map((item) => redact(item, levels + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]: [string, unknown]) => [name, isSensitive(name) && item !== null ? redacted : redact(item, levels + 1)]));
}

/** The texts and numbers that `redact` would take out of `value`; of a value that is circular or odd, what can be found. */
export function sensitiveValues(value: unknown): string[] {
  const found: string[] = [];
  const seen = new Set<unknown>();
  const walk = (item: unknown, secret: boolean, levels: number): void => {
    if (secret && (typeof item === "string" || typeof item === "number")) found.push(String(item));
    if (typeof item !== "object" || item === null || seen.has(item) || levels > maxLevels) return;
    seen.add(item);
    // By their descriptors: no getter is called.
    for (const [name, { value: inner }] of Object.entries<PropertyDescriptor>(Object.getOwnPropertyDescriptors(item))) walk(inner, secret || isSensitive(name), levels + 1);
  };
  walk(value, false, 0);
  return found;
}

function isSensitive(name: string): boolean {
  const parts = name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/);
  return anywhere.test(parts.join("")) || parts.some((part) => words.has(part));
}
