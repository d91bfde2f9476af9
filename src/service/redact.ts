// What of a job is shown to people: everything except values that look like secrets.

const redacted = "[redacted]";

// Long enough to be recognised inside a longer name: userPassword, x-api-key, stripe_secret.
const anywhere = /passw|passphrase|secret|token|authorization|credential|cookie|apikey|accesskey|privatekey|signingkey|encryptionkey|cardnumber|accountnumber/;
// Too short for that ("pan" is in "company"): a whole word of the name, as card is of cardLast4.
const words = new Set(["auth", "bearer", "card", "cvc", "cvv", "iban", "jwt", "otp", "pan", "pin", "pwd", "pass", "session", "ssn", "cnpj", "cpf"]);

/**
 * A row without its secrets. In the JSON fields, payload, result and checkpoint, the value under a name that looks sensitive
 * (password, secret, token, authorization, api key, card, cvc, iban, ssn, …) becomes "[redacted]", at any depth and in
 * lists too, whatever it is; null stays, because it gives nothing away. All other fields are shown: the engine keeps
 * secrets out of lastError when it writes it.
 */
export function redactRow(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, ["payload", "result", "checkpoint"].includes(name) ? redact(value) : value]));
}

/** A JSON value without the values under names that look sensitive. */
export function redact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]: [string, unknown]) => [name, isSensitive(name) && item !== null ? redacted : redact(item)]));
}

function isSensitive(name: string): boolean {
  const parts = name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/);
  return anywhere.test(parts.join("")) || parts.some((part) => words.has(part));
}
