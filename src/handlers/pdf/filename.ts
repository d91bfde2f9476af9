// What a document may be called: one plain name that is a file of its own on Linux, macOS and Windows alike.
// A name that is not is refused when the job is enqueued. Next: write-file.ts, which trusts no name either.

import { z } from "zod";

const maxCharacters = 120;
const maxBytes = 255; // the limit of ext4, APFS and NTFS for one name
const reservedOnWindows = /^(?:con(?:in\$|out\$)?|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|$)/i;
// Control characters, and those that are invisible or turn the reading direction: "invoice\u202Efdp.exe" reads as a PDF.
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

export const filename = z.string().superRefine((name, check) => {
  const problem = problemWith(name);
  if (problem !== null) check.addIssue({ code: "custom", message: `${problem}, got ${quoted(name)}` });
});

function problemWith(name: string): string | null {
  if (name === "") return 'expected a file name such as "invoice-1042.pdf"';
  if (/[/\\]/.test(name)) return "expected a file name without slashes: all documents are written to one folder";
  if (invisible.test(name) || !name.isWellFormed()) return "expected a file name without control or invisible characters";
  if (name.startsWith(".")) return "expected a file name that does not begin with a dot";
  if (name !== name.trim()) return "expected a file name without spaces around it";
  if (/[<>:"|?*]/.test(name)) return 'expected a file name without < > : " | ? *, which Windows forbids';
  if (name.length > maxCharacters) return `expected a file name of at most ${maxCharacters} characters, which this one exceeds with ${name.length}`;
  if (Buffer.byteLength(name) > maxBytes) return `expected a file name of at most ${maxBytes} bytes, which this one exceeds with ${Buffer.byteLength(name)}`;
  if (reservedOnWindows.test(name)) return "expected a file name that Windows does not keep for a device";
  if (!/\.pdf$/i.test(name)) return 'expected a file name that ends in ".pdf"; add it';
  return null;
}

/** For a message: short, and nothing in it that a terminal would act on. */
function quoted(name: string): string {
  const text = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
