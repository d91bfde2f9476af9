// Where no SMTP server is configured, as in development: the mail as an .eml file, which every mail program opens.

import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Message } from "./message.ts";

export interface WrittenMail {
  readonly messageId: string;
  readonly file: string;
}

/** Writes `<name>.eml` into `folder`, which is made when missing. A second attempt replaces the file of the first. */
export async function writeEml(folder: string, name: string, message: Message, signal: AbortSignal): Promise<WrittenMail> {
  const { createTransport } = await import("nodemailer");
  const transport = createTransport({ streamTransport: true, buffer: true, newline: "windows" });
  // This transport would print a Bcc header, which no recipient of a mail sent over SMTP ever sees.
  const { message: content } = await transport.sendMail({ ...message, bcc: [] });
  const file = join(folder, `${name}.eml`);
  // Mails are personal: nobody but the account that runs the jobs reads them. Written under a name of its own and then
  // renamed, so that neither a crash nor a second attempt at the same time leaves half a mail.
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const unfinished = join(folder, `.${name}.${randomUUID()}.tmp`);
  try {
    await writeFile(unfinished, content, { flag: "wx", mode: 0o600, signal });
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
  return { messageId: message.messageId, file };
}
