// What a failed SMTP conversation means for the job: refused for good, try again, or try again after an operator has
// been at it. The server's own words are in every message.

import type { NodemailerError } from "nodemailer";
import { FinalError, isA, RetryAfter } from "../../outbox/errors.ts";
import { withoutSecrets } from "../outbound/secrets.ts";
import { replyText } from "./smtp-reply.ts";

export interface Conversation {
  /** host:port */
  readonly server: string;
  /** What no message may show, though the server says it. */
  readonly secrets: readonly string[];
  /** True when all of the mail had been handed over, so that only the server's answer was missing. */
  readonly handedOver: boolean;
}

/** The mail had been handed over, and no answer came. */
class UncertainDelivery extends Error {
  override readonly name = "UncertainDelivery";
}

const operatorSeconds = 600;
// Authentication needed, mechanism too weak, credentials refused, encryption needed.
const loginReplies = [530, 534, 535, 538];
const connectionCodes = ["ECONNECTION", "ESOCKET", "EDNS", "ETIMEDOUT", "EPROTOCOL", "EABORT"];

/** The error to throw in place of nodemailer's. */
export function smtpFailure(error: unknown, { server, secrets, handedOver }: Conversation): unknown {
  if (!(error instanceof Error)) return error;
  const { code, command, responseCode, response, permanent = false }: NodemailerError = error;
  const cause = { cause: error };
  const shown = (text: string) => withoutSecrets(text, secrets);
  const reply = response === undefined ? shown(error.message) : replyText(shown(response)); // before it is cut off

  // A wrong password or a missing certificate is the operator's mistake, not this mail's: were it final, one mistyped
  // setting would turn the whole backlog into dead letters within a minute. The long wait leaves time to mend it.
  if (code === "ETLS" || (code === "EAUTH" && !isTemporary(responseCode)) || loginReplies.includes(responseCode ?? 0)) {
    return new RetryAfter(operatorSeconds, `The SMTP server ${server} did not let us in, check the SMTP settings: ${reply}`, cause);
  }
  if (responseCode !== undefined) {
    // Before MAIL FROM the server knows nothing of the mail: its refusal is about the connection ("554 no service").
    const aboutThisMail = code === "EENVELOPE" || code === "EMESSAGE";
    return aboutThisMail && permanent
      ? new FinalError(`The SMTP server ${server} refused the mail for good (${command ?? "SMTP"}): ${reply}`, cause)
      : new Error(`The SMTP server ${server} did not take the mail now (${command ?? "SMTP"}): ${reply}`, cause);
  }
  // What is neither a reply nor about the connection is a mistake of ours, and goes up as it is.
  if (!connectionCodes.includes(code ?? "")) return error;
  // No reply. Once everything was handed over nobody can know what became of it; sending again may deliver it twice,
  // not sending may lose it. At least once is the promise, so it is sent again, under the same Message-ID.
  const failure = `No answer from the SMTP server ${server}: ${shown(reasonOf(error))}.`;
  if (!handedOver) return new Error(`${failure} The mail was not delivered.`, cause);
  return new UncertainDelivery(`${failure} It is uncertain whether the mail was delivered: it had been handed over. A further attempt has the same Message-ID.`, cause);
}

/** For a mail that must not go out twice: whatever failed, it was not delivered, unless that is uncertain. */
export function notDelivered(error: unknown): unknown {
  if (error instanceof UncertainDelivery || isA(error, FinalError) || isA(error, RetryAfter)) return error;
  return new RetryAfter(null, error instanceof Error ? error.message : String(error), { cause: error });
}

function isTemporary(responseCode: number | undefined): boolean {
  return responseCode !== undefined && responseCode >= 400 && responseCode < 500;
}

function reasonOf(error: NodemailerError): string {
  // Ended by our own signal: the reason is the one that whoever ended it gave.
  return error.code === "EABORT" && error.cause instanceof Error ? `the attempt was ended (${error.cause.message})` : error.message;
}
