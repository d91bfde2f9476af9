// email.send: one mail, sent over SMTP, or written as an .eml file where no SMTP server is configured.
// Producers import the contract; nodemailer is loaded with the first mail. The steps stand in email/.

import type { Contract, Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { Mailbox } from "./email/address.ts";
import { parseMailbox } from "./email/address.ts";
import { writeEml } from "./email/eml.ts";
import { buildMessage, plainKey } from "./email/message.ts";
import type { Email, EmailPayload } from "./email/payload.ts";
import { emailPayload } from "./email/payload.ts";
import { smtpOptions } from "./email/smtp-options.ts";
import { sendBySmtp } from "./email/smtp.ts";

export type { AddressInput } from "./email/address.ts";
export type { AttachmentInput } from "./email/attachment.ts";
export type { EmailPayload } from "./email/payload.ts";

export const emailSend: Contract<EmailPayload, Email> = defineJob({ type: "email.send", schema: emailPayload, timeout: "2m" });

export interface EmailSettings {
  /** smtp://… or smtps://…; null: every mail becomes a file in `mailDir`. */
  readonly smtpUrl: string | null;
  /** The sender of every mail, for example "Acme <no-reply@acme.example>". */
  readonly from: string;
  readonly mailDir: string;
  /** Where an attachment's `document` is looked for. */
  readonly documentsDir: string;
}

/** Throws OutboxError CONFIGURATION when the settings cannot be used, so that it shows at the start and not in a job. */
export function emailSendHandler(settings: EmailSettings): Handler {
  const { smtpUrl, mailDir, documentsDir } = settings;
  const from = senderOf(settings.from);
  const server = smtpUrl === null ? null : smtpOptions(smtpUrl);

  return handle(emailSend, async (email, { idempotencyKey, signal, log }) => {
    const message = await buildMessage(email, { from, documentsDir }, idempotencyKey, signal);
    if (server === null) return await writeEml(mailDir, plainKey(idempotencyKey), message, signal);
    const receipt = await sendBySmtp(server, message, signal);
    // Done all the same: the others have the mail, and a second attempt would send it to them again. Who was refused
    // and why is in the result; the recipients do not go into the log.
    if (receipt.rejected.length > 0) {
      log.warn("Some recipients were refused by the SMTP server.", { accepted: receipt.accepted.length, rejected: receipt.rejected.length });
    }
    return receipt;
  });
}

function senderOf(from: string): Mailbox {
  const mailbox = parseMailbox(from);
  if ("problem" in mailbox) throw new OutboxError("CONFIGURATION", `The sender of mails cannot be used: ${mailbox.problem}.`);
  return mailbox;
}
