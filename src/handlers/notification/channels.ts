// Where notifications go beside the inbox: named channels of the configuration, checked once, when the handler is made.
// Next: delivery.ts (the job that brings one notification to one channel).

import { z } from "zod";
import type { Entry } from "../outbound/configured.ts";
import { configuredAs, entryOf } from "../outbound/configured.ts";
import { parseTarget } from "../outbound/target.ts";

/** A Slack channel, or that of a program which takes the same form, such as Mattermost. */
export interface SlackChannel {
  kind: "slack";
  /** The incoming webhook's URL. It is a secret, and never shown. */
  url: string;
  /** Lets the URL lead into a private network or to this machine. Default: false. */
  allowPrivate?: boolean;
}

/** WhatsApp's Cloud API. Whom a message goes to is in the payload. */
export interface WhatsAppChannel {
  kind: "whatsapp";
  /** The sender's, as the app's dashboard at Meta shows it; not the phone number itself. */
  phoneNumberId: string;
  /** The access token, of a system user so that it does not expire. */
  token: string;
  /** The approved template that a message is sent by, as its only value, unless the payload names one. Default: plain text. */
  template?: { name: string; language: string };
  /** Default: "https://graph.facebook.com/v24.0". */
  baseUrl?: string;
  /** Lets baseUrl lead into a private network or to this machine. Default: false. */
  allowPrivate?: boolean;
}

/** Any URL: the notification is sent to it as JSON. */
export interface WebhookChannel {
  kind: "webhook";
  /** Its path and query may be a secret, and are never shown. */
  url: string;
  /** Sent with every request, for example Authorization. */
  headers?: Record<string, string>;
  /** Lets the URL lead into a private network or to this machine. Default: false. */
  allowPrivate?: boolean;
}

export type Channel = SlackChannel | WhatsAppChannel | WebhookChannel;
export type Channels = ReadonlyMap<string, Channel>;

export const channelName = z.string().regex(/^\w[\w.-]{0,99}$/, 'expected a channel\'s name: 1 to 100 letters, digits, "_", "." and "-"');
export const templateName = z.string().regex(/^[a-z0-9_]{1,512}$/, 'expected the name of a WhatsApp template, such as "order_sent"');
export const templateLanguage = z.string().regex(/^[a-z]{2,3}(?:_[A-Za-z]{2,4})?$/, 'expected the language of a WhatsApp template, such as "en_US"');

const allowPrivate = z.boolean().optional();
const channelSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("slack"), url: z.string(), allowPrivate }),
  z.strictObject({
    kind: z.literal("whatsapp"),
    phoneNumberId: z.string().regex(/^\d{1,30}$/, "expected digits only"),
    token: z.string().regex(/^[\x21-\x7e]+$/, "expected a token without spaces and line breaks"),
    template: z.strictObject({ name: templateName, language: templateLanguage }).optional(),
    baseUrl: z.string().optional(),
    allowPrivate,
  }),
  z.strictObject({ kind: z.literal("webhook"), url: z.string(), headers: z.record(z.string(), z.string()).optional(), allowPrivate }),
]);

export const defaultBaseUrl = "https://graph.facebook.com/v24.0";
const ownHeaders = new Set(["host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key"]);

/** The channels by name. Throws an OutboxError that names the channel and the field; values are not shown, they may be secret. */
export function checkChannels(channels: Readonly<Record<string, Channel>>): Channels {
  for (const [name, channel] of Object.entries(channels)) {
    const entry = entryOf("channels", name, "notification.send");
    const issue = channelName.safeParse(name).error?.issues[0] ?? channelSchema.safeParse(channel).error?.issues[0];
    if (issue !== undefined) entry.refuse(issue.path.join("."), issue.message);
    if (channel.kind === "whatsapp") checkUrl(entry, "baseUrl", channel.baseUrl ?? defaultBaseUrl, channel);
    else checkUrl(entry, "url", channel.url, channel);
    if (channel.kind === "webhook") entry.headers(channel.headers ?? {}, ownHeaders);
  }
  return new Map(Object.entries(channels));
}

/** The channel of that name. */
export function channelOf(channels: Channels, name: string): Channel {
  return configuredAs(channels, name, "a channel of the configuration");
}

function checkUrl({ refuse, attempt }: Entry, field: string, text: string, channel: Channel): void {
  const inside = channel.allowPrivate ?? false;
  const { url } = attempt(field, () => parseTarget(text, { allowPrivate: inside }));
  // The secret is in the URL or in a header of every request.
  if (channel.kind !== "webhook" && url.protocol !== "https:" && !inside) refuse(field, "expected https://, because a secret is sent with every message");
  if (channel.kind === "whatsapp" && (url.search !== "" || url.hash !== "")) refuse(field, "expected a URL without ? and #, to which the rest of the path is added");
}
