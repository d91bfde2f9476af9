// What the built-in handlers have written into the folder of a dry run.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Email } from "../../handlers/email/payload.ts";
import type { ReplayReport } from "./report.ts";

/** The result with the paths that it would really have. */
export function located(result: unknown, from: string, to: string): unknown {
  if (typeof result === "string") return result.startsWith(from) ? to + result.slice(from.length) : result;
  if (Array.isArray(result)) return result.map((item) => located(item, from, to));
  if (typeof result !== "object" || result === null) return result;
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, located(value, from, to)]));
}

export async function mailsIn(folder: string, email: Email): Promise<ReplayReport["mails"]> {
  const files = await namesIn(folder);
  const { to, cc, bcc, attachments, words } = email;
  return Promise.all(files.map(async (file) => ({ recipients: to.length + cc.length + bcc.length, subject: words.subject, attachments: attachments.length, bytes: (await stat(join(folder, file))).size })));
}

export async function filesIn(folder: string, real: string, result: unknown): Promise<ReplayReport["files"]> {
  const names = await namesIn(folder);
  const pages = typeof result === "object" && result !== null && "pages" in result && typeof result.pages === "number" ? result.pages : null;
  const there = new Set(await namesIn(real));
  return Promise.all(names.map(async (name) => ({ name, bytes: (await stat(join(folder, name))).size, pages, replaces: there.has(name) })));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return []; // nothing was written, so it was not made
  }
}
