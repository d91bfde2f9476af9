// A plain file name: no folder, no way out of one, nothing that a header or a file system reads as more than a name.

import type { z } from "zod";
import { headerText } from "./header-text.ts";

/** Why `name` is no plain file name, as a sentence without its full stop; null when it is one. */
export function fileNameProblem(name: string): string | null {
  // Those that cannot be seen or turn the reading direction: "invoice\u202Efdp.exe" reads as a PDF.
  if (/[\p{Cf}\p{Cs}]/u.test(name)) return "expected a file name without invisible characters";
  if (name.includes("/") || name.includes("\\")) return `expected a plain file name without a folder, got ${JSON.stringify(name)}`;
  // A leading dot would also reach hidden files, and those that are still being written.
  if (name.startsWith(".")) return `expected a file name that does not begin with a dot, got ${JSON.stringify(name)}`;
  return null;
}

export const fileName: z.ZodType<string, string> = headerText(200).superRefine((name, ctx) => {
  const problem = fileNameProblem(name);
  if (problem !== null) ctx.addIssue(problem);
});
