// email.send: one mail, sent over SMTP, or written as an .eml file where no SMTP server is configured.
// Producers import the contract; nodemailer is loaded with the first mail. The steps stand in email/.

import type { Contract, Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { Mailbox } from "./email/address.ts";
import { parseMailbox } from "./email/address.ts";
import { writeEml } from "./email/eml.ts";
import type { Message } from "./email/message.ts";
import { buildMessage, plainKey } from "./email/message.ts";
import type { Email, EmailPayload } from "./email/payload.ts";
import { emailPayload } from "./email/payload.ts";
import type { Progress } from "./email/progress.ts";
import { progressOf, settledBy, withProgress } from "./email/progress.ts";
import { smtpOptions } from "./email/smtp-options.ts";
import { notDelivered } from "./email/smtp-failure.ts";
import type { Sent } from "./email/smtp.ts";
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

  return handle(emailSend, async (email, ctx) => {
    const { idempotencyKey, signal } = ctx;
    const earlier = progressOf(ctx.job.checkpoint);
    const message = await buildMessage(email, { from, documentsDir }, idempotencyKey, settledBy(earlier), signal);
    if (server === null) return await writeEml(mailDir, plainKey(idempotencyKey), message, signal);
    const send = () => sendBySmtp(server, message, signal);
    const sent = email.onDoubt === "repeat" ? await send() : ((await ctx.effect<Sent | undefined>(partOf(earlier), () => send().catch(refuse))) ?? foundDelivered(message));
    const receipt = withProgress(sent.receipt, earlier);
    const { accepted, rejected, rejections } = receipt;
    if (sent.deferred.length > 0) {
      await ctx.checkpoint({ accepted, rejected, rejections } satisfies Progress);
      throw new Error(
        `The SMTP server took the mail for ${accepted.length} of ${accepted.length + rejected.length + sent.deferred.length} recipients, and did not take it now for ${sent.deferred.length}: ` +
          `${sent.deferrals[0] ?? ""}. Only those are tried again.`,
      );
    }
    // Done all the same: the others have the mail, and a second attempt would come to the same. Who was refused and why
    // is in the result; the recipients do not go into the log.
    if (rejected.length > 0) ctx.log.warn("Some recipients were refused by the SMTP server.", { accepted: accepted.length, rejected: rejected.length });
    return receipt;
  });
}

/** Those who are tried later are a mail of their own to the ledger of effects. */
function partOf({ accepted, rejected }: Progress): string {
  return `mail to those after the first ${accepted.length + rejected.length}`;
}

/** Somebody has said that a mail in doubt was delivered, and nothing more. */
function foundDelivered({ messageId }: Message): Sent {
  return { receipt: { messageId, accepted: [], rejected: [], rejections: [], response: "delivered, as somebody has found out" }, deferred: [], deferrals: [] };
}

function refuse(error: unknown): never {
  throw notDelivered(error);
}

function senderOf(from: string): Mailbox {
  const mailbox = parseMailbox(from);
  if ("problem" in mailbox) throw new OutboxError("CONFIGURATION", `The sender of mails cannot be used: ${mailbox.problem}.`);
  return mailbox;
}
