// Handlers that put whatever is secret into what they throw and log, as an app's own code may do by accident; and one entry
// of each kind that the configuration has, with a secret in it. ORIGIN is a server that repeats all that it is sent.

import { setTimeout as sleep } from "node:timers/promises";
import type { JobContext } from "postcommit";
import { defineConfig, defineJob, FinalError, handle, RetryAfter } from "postcommit";

const { ORIGIN: origin = "", CANARY: canary = "" } = process.env;
const there = { allowPrivate: true } as const;
const header = `${canary} "of" the <header>`;
const slackUrl = `${origin}/services/T0/${canary}-slack-path`;

const webhooks = { crm: { url: `${origin}/crm?key=${canary}-in-the-query`, secrets: [process.env.WEBHOOK_SECRET ?? ""], headers: { "X-Key": header }, ...there } };
const channels = {
  slack: { kind: "slack", url: slackUrl, ...there },
  whatsapp: { kind: "whatsapp", phoneNumberId: "1", token: `${canary}-whatsapp-token`, baseUrl: origin, ...there },
} as const;
const endpoints = { crm: { kind: "http", url: `${origin}/api`, headers: { Authorization: `Bearer ${canary}-endpoint-token` }, ...there } } as const;

/** All that is secret here, as one text. */
const everything = [
  ...Object.entries(process.env).filter(([name]) => /DATABASE_URL|SMTP|SECRET|TOKENS|KEY|HEARTBEAT/.test(name)).map(([name, value]) => `${name}=${value}`),
  JSON.stringify({ webhooks, channels, endpoints }),
  slackUrl,
  header,
].join(" ");

interface Payload {
  readonly then: "throw" | "final" | "later" | "string" | "object" | "cause" | "reject-later" | "log" | "result";
  readonly password: string;
}
const leaky = defineJob<Payload>({ type: "leaky", retry: () => 0 });

async function run({ then, password }: Payload, ctx: JobContext): Promise<unknown> {
  const told = `it failed with ${password} and ${everything}`;
  switch (then) {
    case "throw":
      throw Object.assign(new Error(told), { name: `Error${canary.length}` });
    case "final":
      throw new FinalError(told);
    case "later":
      throw new RetryAfter(0, told);
    case "string":
      throw told as unknown as Error; // as JavaScript may
    case "object":
      // What an HTTP client of the app's throws: its own request, with the app's own key, which nobody here knows.
      throw { status: 401, config: { headers: { Authorization: `Bearer ${canary}-of-the-app` } }, told } as unknown as Error;
    case "cause":
      throw new Error("it failed", { cause: new Error(told) });
    case "reject-later":
      // Whose it is, nobody knows any more, nor what its payload was.
      void Promise.reject(new Error(everything));
      await sleep(10); // it is noticed while this runs
      return null;
    case "log":
      ctx.log.info(told, { told, nested: { list: [told] } });
      await ctx.progress(50, told);
      return null;
    case "result":
      return { token: `${canary}-result` };
  }
}

export default defineConfig({ handlers: [handle(leaky, run)], webhooks, channels, endpoints, alerts: { deadLetters: 1, notify: [{ webhook: "crm" }] } });
