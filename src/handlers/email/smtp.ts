// Sends one mail over one SMTP connection of its own. No pool: nothing stays open between two mails, so nothing can go
// stale, and a drain that is done can exit. What a failure means is decided in smtp-failure.ts.

import type { Message } from "./message.ts";
import { smtpFailure } from "./smtp-failure.ts";
import type { SmtpOptions } from "./smtp-options.ts";
import { replyText } from "./smtp-reply.ts";

export interface Receipt {
  readonly messageId: string;
  readonly accepted: string[];
  readonly rejected: string[];
  /** The server's replies to the rejected recipients, in their order. */
  readonly rejections: string[];
  /** The server's reply to the mail. */
  readonly response: string;
}

/** Throws FinalError when the server refused the mail for good; any other error means: try again. */
export async function sendBySmtp(server: SmtpOptions, message: Message, signal: AbortSignal): Promise<Receipt> {
  const { createTransport } = await import("nodemailer");
  const transport = createTransport(server);
  let handedOver = false;
  transport.use("stream", (mail, done) => {
    mail.message.processFunc((content) => content.once("end", () => (handedOver = true)));
    done();
  });
  try {
    const sent = await transport.sendMail({ ...message, signal });
    const rejections = (sent.rejectedErrors ?? []).map(({ response }) => replyText(response));
    return { messageId: message.messageId, accepted: sent.accepted, rejected: sent.rejected, rejections, response: replyText(sent.response) };
  } catch (error) {
    throw smtpFailure(error, { server: `${server.host}:${server.port}`, handedOver });
  } finally {
    transport.close();
  }
}
