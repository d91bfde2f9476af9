// What the configuration says by name (endpoints, receivers, channels), checked once, when the handler is made. An error names
// the entry and the field; values are not shown, they may be secret.

import { validateHeaderName, validateHeaderValue } from "node:http";
import { FinalError, OutboxError } from "../../outbox/errors.ts";

/** Refuses one entry: `field` is what follows its name, for example "url", or "" for all of it. */
export interface Entry {
  readonly refuse: (field: string, problem: string) => never;
  /** What `check` gives back; what it throws is the problem. */
  readonly attempt: <Value>(field: string, check: () => Value) => Value;
  /** Refuses headers that HTTP cannot carry, and those in `own`, which the job type sets itself. */
  readonly headers: (headers: Readonly<Record<string, string>>, own: ReadonlySet<string>) => void;
}

/** `list` is the setting's name, `user` the job type that uses it. */
export function entryOf(list: string, name: string, user: string): Entry {
  function refuse(field: string, problem: string): never {
    const where = `${list}[${JSON.stringify(name)}]${field === "" ? "" : `.${field}`}`;
    throw new OutboxError("CONFIGURATION", `Expected ${where} to be usable by ${user}: ${problem}`.replace(/[^.]$/, "$&."));
  }
  function attempt<Value>(field: string, check: () => Value): Value {
    try {
      return check();
    } catch (error) {
      return refuse(field, error instanceof Error ? error.message : String(error));
    }
  }
  return {
    refuse,
    attempt,
    headers(headers, own) {
      for (const [header, value] of Object.entries(headers)) {
        attempt("headers", () => validateHeaderName(header));
        attempt("headers", () => validateHeaderValue(header, value));
        if (own.has(header.toLowerCase())) refuse(`headers.${header}`, `expected no header that ${user} sets itself`);
      }
    },
  };
}

/** What is configured under `name`. One that is not is the same next time: the error is final, and names those that are. */
export function configuredAs<Value>(configured: ReadonlyMap<string, Value>, name: string, wanted: string): Value {
  const found = configured.get(name);
  if (found !== undefined) return found;
  const known = [...configured.keys()].map((each) => JSON.stringify(each)).join(", ");
  throw new FinalError(`Expected ${wanted}, got ${JSON.stringify(name)}. Known are: ${known === "" ? "none" : known}.`);
}
