// notification.deliver: brings one notification to one channel. Enqueued by notification.send, which has written the row in
// the inbox already. The contract stands in notification/delivery.ts, because notification.send needs it too.

import type { Handler, JobContext } from "../outbox/define.ts";
import { handle } from "../outbox/define.ts";
import type { Resolve } from "./outbound/target.ts";
import type { Channel } from "./notification/channels.ts";
import { channelOf, checkChannels } from "./notification/channels.ts";
import type { Delivery } from "./notification/delivery.ts";
import { notificationDeliver } from "./notification/delivery.ts";
import { sendToSlack } from "./notification/slack.ts";
import { sendToWebhook } from "./notification/webhook.ts";
import { sendToWhatsApp } from "./notification/whatsapp.ts";

export { notificationDeliver } from "./notification/delivery.ts";

export interface NotificationDeliverSettings {
  readonly channels: Readonly<Record<string, Channel>>;
  /** Resolves the names in the channels' URLs. Default: the system's resolver. */
  readonly resolve?: Resolve;
}

/** Throws an OutboxError "CONFIGURATION" when a channel is unusable. */
export function notificationDeliverHandler({ channels, resolve }: NotificationDeliverSettings): Handler {
  const byName = checkChannels(channels);
  return handle(notificationDeliver, async (delivery, context) => {
    const channel = channelOf(byName, delivery.channel);
    return { channel: delivery.channel, ...(await send(channel, delivery, context, resolve)) };
  });
}

function send(channel: Channel, delivery: Delivery, context: JobContext, resolve?: Resolve): Promise<object> {
  switch (channel.kind) {
    case "slack":
      return sendToSlack(channel, delivery, context, resolve);
    case "whatsapp":
      return sendToWhatsApp(channel, delivery, context, resolve);
    case "webhook":
      return sendToWebhook(channel, delivery, context, resolve);
  }
}
