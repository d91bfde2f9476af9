// One message of a notification, as one POST of JSON. What an answer means is for the channel to say.

import type { JobContext } from "../../outbox/define.ts";
import type { OutboundResponse } from "../outbound/request.ts";
import { request } from "../outbound/request.ts";
import type { Resolve } from "../outbound/target.ts";
import type { Channel } from "./channels.ts";

/** Shorter than the job's own limit, so that the error says who has not answered. */
const timeoutMs = 20_000;

export interface Post {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** See OutboundRequest. */
  readonly secretPath?: boolean;
}

export async function post({ url, headers = {}, body, secretPath = false }: Post, channel: Channel, { signal }: JobContext, resolve?: Resolve): Promise<OutboundResponse> {
  return await request(
    { allowPrivate: channel.allowPrivate ?? false, ...(resolve && { resolve }) },
    { method: "POST", url, secretPath, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body), signal, timeoutMs },
  );
}
