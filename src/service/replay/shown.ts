// What may be shown of a request: never what the configuration keeps secret, and of the rest only what helps to know it by.

import { everySpelling, secretsOf, withoutSecrets } from "../../handlers/outbound/secrets.ts";
import type { Settings } from "../config.ts";
import type { HttpRequest } from "./sink.ts";

export interface ShownRequest {
  readonly method: string;
  readonly url: string;
  /** Names, with the values of those that are no secrets. */
  readonly headers: readonly string[];
  readonly bodyBytes: number;
  /** Null: not asked for. */
  readonly body: string | null;
  readonly answered: number;
}

/** These say what a request is, and let nobody in. */
const telling = new Set(["content-type", "idempotency-key", "webhook-id", "webhook-timestamp", "x-postcommit-source"]);
const ofTransport = new Set(["host", "connection", "content-length", "transfer-encoding", "user-agent", "accept", "accept-encoding", "accept-language", "sec-fetch-mode"]);
const maxBodyLength = 4000;
const redacted = "[redacted]";

/** Every value of the configuration that lets somebody in somewhere. */
export function secretsIn(settings: Settings, databaseUrl: string): string[] {
  const found: string[] = [];
  const add = (headers: Readonly<Record<string, string>> = {}, url?: string, secretPath = false) => {
    found.push(...secretsOf(headers, new URL(url !== undefined && URL.canParse(url) ? url : "http://none"), secretPath));
  };
  for (const channel of Object.values(settings.channels)) {
    if (channel.kind === "whatsapp") add({ Authorization: `Bearer ${channel.token}` });
    else add(channel.kind === "webhook" ? channel.headers : {}, channel.url, true);
  }
  for (const { url, headers, secrets } of Object.values(settings.webhooks)) {
    add(headers, url, true);
    found.push(...everySpelling(secrets));
  }
  for (const endpoint of Object.values(settings.endpoints)) if (endpoint.kind === "http") add(endpoint.headers, endpoint.url);
  const passwords = [databaseUrl, settings.smtpUrl ?? ""].flatMap((url) => (URL.canParse(url) ? [decodeURIComponent(new URL(url).password)] : []));
  found.push(...everySpelling([...settings.webhookSecrets, settings.payments?.key ?? "", ...passwords]));
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

/** `known`: text that is shown anyway, the payload; what of a path is in it needs no hiding. */
export function shownRequest({ method, url, headers, bodyBytes, body, answered }: HttpRequest, secrets: readonly string[], known: string, reveal: boolean): ShownRequest {
  const hide = (text: string) => withoutSecrets(text, secrets);
  return {
    method,
    url: hide(urlOf(url, known, reveal)),
    headers: headers.filter(([name]) => !ofTransport.has(name.toLowerCase())).map(([name, value]) => (telling.has(name.toLowerCase()) ? `${name}: ${hide(value)}` : name)),
    bodyBytes,
    body: reveal ? `${hide(body.slice(0, maxBodyLength))}${body.length > maxBodyLength ? "…" : ""}` : null,
    answered,
  };
}

function urlOf(text: string, known: string, reveal: boolean): string {
  if (!URL.canParse(text)) return "something that is no URL";
  const { origin, pathname, search } = new URL(text);
  if (reveal) return `${origin}${pathname}${search}`;
  // A long part with digits that is no id of the job's own may well be a key, as in Slack's URLs.
  const path = pathname.split("/").map((part) => (/^(?=.*\d)[\w.~-]{16,}$/.test(part) && !known.includes(part) ? redacted : part));
  const names = search === "" ? [] : search.slice(1).split("&").map((pair) => `${pair.split("=")[0] ?? ""}=${redacted}`);
  return `${origin}${path.join("/")}${names.length === 0 ? "" : `?${names.join("&")}`}`;
}
