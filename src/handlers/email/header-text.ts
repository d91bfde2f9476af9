// The rule for text that ends up in a mail header: subjects, names, addresses, file names. One line of plain text, or a
// value could begin a header of its own ("\r\nBcc: …"). It is refused and never cleaned: a cleaned attack is still sent.

import { z } from "zod";

// All control characters, and the two that Unicode calls line and paragraph separator.
const lineBreaking = /[\p{Cc}\u2028\u2029]/u;
// RFC 2047. Mail programs decode these wherever they meet them, so they could smuggle in what the rule above refuses.
const encodedWord = /=\?[^?\s]*\?[bq]\?/i;

/** Why `text` may not go into a header, as a sentence without its full stop; null when it may. */
export function headerProblem(text: string): string | null {
  const control = lineBreaking.exec(text);
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `expected one line of plain text, got the control character U+${code} at position ${control.index}`;
  }
  if (encodedWord.test(text)) return "expected plain text, got an encoded word (=?…?=); write it plainly, it is encoded for you";
  return null;
}

/** One line of plain text, 1 to `maxLength` characters. */
export function headerText(maxLength: number): z.ZodType<string, string> {
  return z
    .string()
    .min(1)
    .max(maxLength)
    .superRefine((text, ctx) => {
      const problem = headerProblem(text);
      if (problem !== null) ctx.addIssue(problem);
    });
}
