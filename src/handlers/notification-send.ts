// notification.send: a row in the in-app inbox, exactly once, and one job for each further channel. The row, those jobs and
// this job's completion are one commit: a crash leaves none of them, and the next attempt writes them all.
// Next: notification/channels.ts (what can be configured), notification-deliver.ts (what those jobs do).

import { z } from "zod";
import { sqlOf } from "../outbox/database.ts";
import type { Handler } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import type { Channel, Channels } from "./notification/channels.ts";
import { channelName, channelOf, checkChannels } from "./notification/channels.ts";
import type { Delivery } from "./notification/delivery.ts";
import { notificationDeliver, notificationFields, whatsAppAddress } from "./notification/delivery.ts";
import { whatsAppMessage } from "./notification/whatsapp.ts";

export type { Channel, SlackChannel, WebhookChannel, WhatsAppChannel } from "./notification/channels.ts";

const schema = z.strictObject({
  ...notificationFields,
  /** Channels of the configuration that it goes to as well, by name. */
  channels: z
    .array(channelName)
    .max(20)
    .refine((names) => new Set(names).size === names.length, "expected every channel once")
    .optional(),
  whatsapp: whatsAppAddress.optional(),
});

export const notificationSend = defineJob({ type: "notification.send", schema, timeout: "30s" });

export interface NotificationSettings {
  readonly channels: Readonly<Record<string, Channel>>;
}

/** Throws an OutboxError "CONFIGURATION" when a channel is unusable. */
export function notificationSendHandler({ channels }: NotificationSettings = { channels: {} }): Handler {
  const configured = checkChannels(channels);
  return handle(notificationSend, async (notification, ctx) => {
    const { userId, type, message } = notification;
    // Before the row is written: what is wrong with a channel is wrong with the whole notification, and is mended at once.
    const deliveries = deliveriesOf(notification, configured);
    const { id, owner, priority } = ctx.job;
    await ctx.complete(
      async (tx) => {
        await sqlOf(tx).query(`insert into notification (user_id, type, message, job_id) values ($1, $2, $3, $4)`, [userId, type, message, id]);
        const enqueued = [];
        for (const delivery of deliveries) {
          const job = await ctx.enqueue(tx, notificationDeliver, delivery, { priority, ...(owner !== null && { owner }) });
          enqueued.push({ channel: delivery.channel, job: job.id });
        }
        return enqueued;
      },
      (enqueued) => ({ deliveries: enqueued }),
    );
  });
}

function deliveriesOf({ channels = [], whatsapp, ...fields }: z.output<typeof schema>, configured: Channels): Delivery[] {
  return channels.map((name) => {
    const channel = channelOf(configured, name);
    if (channel.kind !== "whatsapp") return { channel: name, ...fields };
    const delivery = { channel: name, ...fields, ...(whatsapp && { whatsapp }) };
    whatsAppMessage(channel, delivery); // refuses what cannot become one
    return delivery;
  });
}
