// The payload of webhook.send: a receiver, by URL or by name, and an event.

import { z } from "zod";

/** What a producer enqueues: exactly one of `url` and `endpoint`. */
export type WebhookPayload = {
  /** What happened, for example "invoice.paid". */
  readonly event: string;
  /** Any JSON. Keep it small, and let the receiver ask for more. */
  readonly data: unknown;
} & ({ readonly url: string; readonly endpoint?: never } | { readonly endpoint: string; readonly url?: never });

const fields = z
  .strictObject({
    url: z.string().max(2000).refine(isWebUrl, "expected an absolute URL that begins with https:// or http://, without a user name and password").optional(),
    endpoint: z.string().min(1).max(100).optional(),
    event: z.string().min(1).max(200),
    data: z.unknown().refine((data) => data !== undefined, "expected any JSON, null included, got nothing"),
  })
  .superRefine(({ url, endpoint }, ctx) => {
    if (url === undefined && endpoint === undefined) ctx.addIssue({ code: "custom", path: ["endpoint"], message: "expected the name of an endpoint, or a url, got neither" });
    if (url !== undefined && endpoint !== undefined) ctx.addIssue({ code: "custom", path: ["url"], message: "expected no url beside an endpoint, which has its own" });
  });

// zod infers both as optional. The type says that it is one of them, as the check above does.
export const webhookPayload = fields as unknown as z.ZodType<WebhookPayload, WebhookPayload>;

/** Whether it may be reached is decided when it is: the name may lead elsewhere by then. See outbound/target.ts. */
function isWebUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && username === "" && password === "";
}
