// A notification as a WhatsApp message, through Meta's Cloud API. It knows no idempotency key: after a time-out the message
// may come twice. What its errors mean stands in whatsapp-failure.ts.

import type { JobContext } from "../../outbox/define.ts";
import { FinalError } from "../../outbox/errors.ts";
import type { Resolve } from "../outbound/target.ts";
import type { WhatsAppChannel } from "./channels.ts";
import { defaultBaseUrl } from "./channels.ts";
import type { Delivery } from "./delivery.ts";
import { post } from "./post.ts";
import { jsonOf, whatsAppFailure } from "./whatsapp-failure.ts";

const maxTextLength = 4096;

export interface WhatsAppReceipt {
  readonly status: number;
  /** Meta's id of the message, by which it reports on it later; null when the answer had none. */
  readonly messageId: string | null;
}

export async function sendToWhatsApp(channel: WhatsAppChannel, delivery: Delivery, context: JobContext, resolve?: Resolve): Promise<WhatsAppReceipt> {
  const url = `${(channel.baseUrl ?? defaultBaseUrl).replace(/\/+$/, "")}/${channel.phoneNumberId}/messages`;
  // Handed back in every report on the message, so that these can be told to belong to this job.
  const body = { ...whatsAppMessage(channel, delivery), biz_opaque_callback_data: context.idempotencyKey };
  const response = await post({ url, headers: { Authorization: `Bearer ${channel.token}` }, body }, channel, context, resolve);
  whatsAppFailure(response);
  return { status: response.status, messageId: messageId(jsonOf(response)) };
}

/** The message as the API wants it. Throws a FinalError for a notification that cannot become one. */
export function whatsAppMessage(channel: WhatsAppChannel, { channel: name, message, whatsapp }: Delivery): Record<string, unknown> {
  if (whatsapp === undefined) throw new FinalError(`Expected whatsapp.to beside the channel "${name}", which needs the recipient's phone number, got none.`);
  const to = { messaging_product: "whatsapp", recipient_type: "individual", to: whatsapp.to };
  const template = whatsapp.template ?? channel.template;
  if (template !== undefined) {
    const values = whatsapp.template?.values ?? [message];
    const parameters = values.map((text) => ({ type: "text", text: onOneLine(text) }));
    const components = parameters.length === 0 ? {} : { components: [{ type: "body", parameters }] };
    return { ...to, type: "template", template: { name: template.name, language: { code: template.language }, ...components } };
  }
  if (message.length > maxTextLength) {
    throw new FinalError(`Expected a message of at most ${maxTextLength} characters for the channel "${name}", got one of ${message.length}. Use a template.`);
  }
  return { ...to, type: "text", text: { preview_url: false, body: message } };
}

/** The API refuses line breaks, tabs and more than four spaces in a row inside a template. */
function onOneLine(text: string): string {
  return text.replaceAll(/\s+/g, (gap) => (gap.length > 4 || /[\r\n\t]/.test(gap) ? " " : gap)).trim();
}

function messageId(answer: unknown): string | null {
  if (typeof answer !== "object" || answer === null || !("messages" in answer) || !Array.isArray(answer.messages)) return null;
  const first: unknown = answer.messages[0];
  return typeof first === "object" && first !== null && "id" in first && typeof first.id === "string" ? first.id.slice(0, 200) : null;
}
