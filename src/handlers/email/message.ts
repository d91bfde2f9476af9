// Builds the mail for nodemailer, field by field: never a spread payload, so no field gets there that is not named here.
// Next: smtp.ts sends it, eml.ts writes it to a file.

import { createHash } from "node:crypto";
import type { Attachment as MailAttachment, SendMailOptions } from "nodemailer";
import type { Mailbox } from "./address.ts";
import type { Attachment } from "./attachment.ts";
import { readDocuments } from "./documents.ts";
import { letterHtml, letterText } from "./letter.ts";
import type { Email } from "./payload.ts";

/** A mail that is ready to go. Its Message-ID is the same on every attempt, so receivers can recognise a repeat. */
export type Message = SendMailOptions & { readonly messageId: string };

export interface MessageSettings {
  readonly from: Mailbox;
  readonly documentsDir: string;
}

/** `settled`: recipients that it does not go to any more. The mail's own headers name them still. */
export async function buildMessage(email: Email, settings: MessageSettings, idempotencyKey: string, settled: ReadonlySet<string>, signal: AbortSignal): Promise<Message> {
  const { subject, text, html } = await written(email.words);
  const left = [...email.to, ...email.cc, ...email.bcc].map(({ address }) => address).filter((recipient) => !settled.has(recipient));
  const domain = settings.from.address.slice(settings.from.address.lastIndexOf("@") + 1);
  return {
    messageId: `<${plainKey(idempotencyKey)}@${domain}>`,
    date: new Date(),
    from: address(settings.from),
    to: email.to.map(address),
    cc: email.cc.map(address),
    bcc: email.bcc.map(address),
    ...(settled.size === 0 ? {} : { envelope: { from: settings.from.address, to: left } }),
    replyTo: email.replyTo.map(address),
    subject,
    text,
    ...(html === null ? {} : { html }),
    attachments: await withContent(email.attachments, settings.documentsDir, signal),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

/** The idempotency key where only plain characters will do: in a Message-ID and in a file name. */
export function plainKey(idempotencyKey: string): string {
  return /^\w[\w-]{0,99}$/.test(idempotencyKey) ? idempotencyKey : createHash("sha256").update(idempotencyKey).digest("hex");
}

async function written(words: Email["words"]): Promise<{ subject: string; text: string; html: string | null }> {
  if (!("paragraphs" in words)) return words;
  return { subject: words.subject, text: letterText(words), html: await letterHtml(words) };
}

function address({ name, address }: Mailbox): { name: string; address: string } {
  return { name, address };
}

async function withContent(attachments: readonly Attachment[], documentsDir: string, signal: AbortSignal): Promise<MailAttachment[]> {
  const names = attachments.flatMap(({ source }) => ("document" in source ? [source.document] : []));
  const documents = await readDocuments(documentsDir, names, signal);
  return attachments.map(({ filename, contentType, cid, source }) => ({
    filename,
    ...(contentType === null ? {} : { contentType }),
    // Mail programs that are given the disposition "attachment" list it beside the mail as well.
    ...(cid === null ? {} : { cid, contentDisposition: "inline" as const }),
    content: "document" in source ? documents.get(source.document) : Buffer.from(source.base64, "base64"),
  }));
}
