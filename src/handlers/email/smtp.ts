// Sends one mail over one SMTP connection of its own. No pool: nothing stays open between two mails, so nothing can go
// stale, and a drain that is done can exit. What a failure means is decided in smtp-failure.ts.

import { everySpelling, withoutSecrets } from "../outbound/secrets.ts";
import type { Message } from "./message.ts";
import { smtpFailure } from "./smtp-failure.ts";
import type { SmtpOptions } from "./smtp-options.ts";
import { replyText } from "./smtp-reply.ts";

export interface Receipt {
  readonly messageId: string;
  /** Recipients that the server took the mail for. Whether it reaches them is for the servers behind it. */
  readonly accepted: string[];
  /** Recipients that were refused for good. */
  readonly rejected: string[];
  /** The server's replies to the rejected recipients, in their order. */
  readonly rejections: string[];
  /** The server's reply to the mail. */
  readonly response: string;
}

/** What came of one SMTP conversation: the receipt, and who is to be tried again, with the server's replies. */
export interface Sent {
  readonly receipt: Receipt;
  readonly deferred: string[];
  readonly deferrals: string[];
}

/** Throws FinalError when the server refused the mail for good; any other error means: try again. */
export async function sendBySmtp(server: SmtpOptions, message: Message, signal: AbortSignal): Promise<Sent> {
  const { createTransport } = await import("nodemailer");
  const transport = createTransport(server);
  const secrets = secretsOf(server);
  const shown = (reply: string | undefined) => replyText(withoutSecrets(reply ?? "", secrets));
  let handedOver = false;
  transport.use("stream", (mail, done) => {
    mail.message.processFunc((content) => content.once("end", () => (handedOver = true)));
    done();
  });
  try {
    const sent = await transport.sendMail({ ...message, signal });
    const refusals = sent.rejected.map((recipient, index) => ({ recipient, error: sent.rejectedErrors?.[index] }));
    const rejected = refusals.filter(({ error }) => error?.permanent !== false);
    const deferred = refusals.filter(({ error }) => error?.permanent === false);
    const recipients = (list: typeof refusals) => list.map(({ recipient }) => recipient);
    const replies = (list: typeof refusals) => list.map(({ error }) => shown(error?.response));
    return {
      receipt: { messageId: message.messageId, accepted: sent.accepted, rejected: recipients(rejected), rejections: replies(rejected), response: shown(sent.response) },
      deferred: recipients(deferred),
      deferrals: replies(deferred),
    };
  } catch (error) {
    throw smtpFailure(error, { server: `${server.host}:${server.port}`, secrets, handedOver });
  } finally {
    transport.close();
  }
}

/** The password, alone and as AUTH PLAIN sends it. */
function secretsOf({ auth }: SmtpOptions): string[] {
  const { user = "", pass = "" } = auth !== undefined && "pass" in auth ? auth : {};
  return everySpelling([pass, `\0${user}\0${pass}`]);
}
