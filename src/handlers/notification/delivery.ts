// notification.deliver: one notification on its way to one channel. notification.send enqueues these together with its
// own completion, so that a channel which fails is tried again alone, and never writes a second row into the inbox.
// The contract stands here because both handlers need it.

import { z } from "zod";
import { defineJob } from "../../outbox/define.ts";
import { channelName, templateLanguage, templateName } from "./channels.ts";

/** What a notification says, and to whom. */
export const notificationFields = {
  /** Whose inbox. */
  userId: z.string().min(1).max(200),
  /** What kind of message, for example "proposal.created". */
  type: z.string().min(1).max(200),
  message: z.string().min(1).max(10_000),
};

/** What the payload says for channels of the kind "whatsapp". */
export const whatsAppAddress = z.strictObject({
  /** The recipient's phone number. */
  to: z.string().regex(/^\+[1-9]\d{6,14}$/, 'expected a phone number with its country code, such as "+436601234567"'),
  /** An approved template, before that of the channel. */
  template: z
    .strictObject({
      name: templateName,
      language: templateLanguage,
      /** What stands for {{1}}, {{2}} and so on. Default: the message alone. */
      values: z.array(z.string().min(1).max(1024)).max(50).optional(),
    })
    .optional(),
});

const schema = z.strictObject({ channel: channelName, ...notificationFields, whatsapp: whatsAppAddress.optional() });

export type Delivery = z.output<typeof schema>;

export const notificationDeliver = defineJob({
  type: "notification.deliver",
  schema,
  // Over about a quarter of an hour: chat services are down for minutes rather than seconds.
  retry: { maxAttempts: 5 },
  timeout: "30s",
});
