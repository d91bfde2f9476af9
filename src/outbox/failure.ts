// Whatever a handler threw, as text that people can read and Postgres can store.

import { inspect } from "node:util";
import type { Failure } from "./job.ts";

const maxTextBytes = 8 * 1024;
const unspeakable = "the handler threw something that cannot be shown";

/** `text` without what is known to be secret, and without what looks so in `from`: the payload, or what was thrown. */
export type Conceal = (text: string, ...from: readonly unknown[]) => string;

export const concealNothing: Conceal = (text) => text;

/** Never throws, whatever it is given: null, a string, a circular or frozen object, a getter that throws, 5 MB of message. */
export function failureOf(thrown: unknown, conceal: Conceal = concealNothing): Failure {
  try {
    if (thrown instanceof Error) {
      return {
        errorClass: cleanText(thrown.name || thrown.constructor.name || "Error", 200),
        message: cleanText(conceal(thrown.message) || "(no message)"),
        stack: typeof thrown.stack === "string" ? cleanText(conceal(thrown.stack)) : null,
      };
    }
    const shown = typeof thrown === "string" ? thrown : inspect(thrown, { depth: 2, maxStringLength: 2000, breakLength: Infinity });
    return { errorClass: "NotAnError", message: cleanText(`the handler threw ${thrown === null ? "null" : typeof thrown}: ${conceal(shown, thrown)}`), stack: null };
  } catch {
    return { errorClass: "NotAnError", message: unspeakable, stack: null };
  }
}

/** What cannot even be asked what it is (a proxy that was revoked, a name whose getter throws), as an error that says so. */
export function askable(thrown: unknown): unknown {
  try {
    if (thrown instanceof Error) cleanText(thrown.name);
    return thrown;
  } catch {
    return Object.assign(new Error(unspeakable), { name: "NotAnError" });
  }
}

/** Without NULs and halves of surrogate pairs, which Postgres refuses, and cut to `maxBytes` of UTF-8. */
export function cleanText(text: string, maxBytes = maxTextBytes): string {
  // Cut before cleaning: 5 MB of message are not worth the walk. One character is at least one byte.
  const clean = text.slice(0, maxBytes).replaceAll("\u0000", "\\u0000").toWellFormed();
  if (Buffer.byteLength(clean) <= maxBytes && text.length <= maxBytes) return clean;
  const marker = " … (cut)";
  const room = maxBytes - Buffer.byteLength(marker);
  // Decoding drops the half of a character that the cut may have left at the end.
  return new TextDecoder().decode(Buffer.from(clean).subarray(0, room)).replace(/\uFFFD$/, "") + marker;
}
