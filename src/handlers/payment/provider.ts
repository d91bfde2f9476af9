// The payment provider: an API with the shape of Stripe's, which takes forms and gives JSON.
// Next: answer.ts (what its answers mean).

import { OutboxError } from "../../outbox/errors.ts";
import type { OutboundResponse } from "../outbound/request.ts";
import { request } from "../outbound/request.ts";
import { secretsOf } from "../outbound/secrets.ts";
import type { Resolve } from "../outbound/target.ts";
import { parseTarget } from "../outbound/target.ts";
import type { PaymentObject, Reply } from "./answer.ts";
import { read, refundList, replyOf } from "./answer.ts";

export interface PaymentSettings {
  /** For example "https://api.stripe.com". */
  readonly url: string;
  /** The secret key, "sk_…" or "rk_…". */
  readonly key: string;
  /** Lets the URL lead into a private network, and begin with http://. Default: only to this machine itself. */
  readonly allowPrivate?: boolean;
  /** Resolves the name in the URL. Default: the system's resolver. */
  readonly resolve?: Resolve;
}

export interface PaymentProvider {
  /** A POST that the provider performs once for each `idempotencyKey`, as long as it remembers the key. */
  post(path: string, form: Readonly<Record<string, string | number | undefined>>, idempotencyKey: string, signal: AbortSignal): Promise<Reply>;
  /** The newest refunds of a payment intent, 100 at most. */
  refunds(paymentIntentId: string, signal: AbortSignal): Promise<{ readonly refunds: readonly PaymentObject[]; readonly more: boolean }>;
}

/** Stripe's own libraries wait for 80 s: a bank may take its time. */
const requestTimeoutMs = 80_000;
const maxAnswerBytes = 1024 * 1024;

/** Throws an OutboxError "CONFIGURATION" when the settings are unusable; it never shows the key. */
export function paymentProvider(settings: PaymentSettings): PaymentProvider {
  const base = baseUrl(settings);
  if (!/^[\x21-\x7e]{1,500}$/.test(settings.key)) {
    throw new OutboxError("CONFIGURATION", "Expected PAYMENT_API_KEY to be 1 to 500 characters of ASCII without spaces, got something else.");
  }
  const authorization = { Authorization: `Bearer ${settings.key}` };
  const secrets = secretsOf(authorization, base.url);

  function send(method: "GET" | "POST", path: string, signal: AbortSignal, rest: { headers?: Record<string, string>; body?: string } = {}): Promise<OutboundResponse> {
    return request(
      { allowPrivate: base.allowPrivate, ...(settings.resolve && { resolve: settings.resolve }) },
      { ...rest, method, url: `${base.text}${path}`, headers: { ...authorization, ...rest.headers }, signal, timeoutMs: requestTimeoutMs, maxBytes: maxAnswerBytes },
    );
  }

  return {
    async post(path, form, idempotencyKey, signal) {
      const body = new URLSearchParams();
      for (const [name, value] of Object.entries(form)) if (value !== undefined) body.set(name, String(value));
      const headers = { "Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": idempotencyKey };
      return replyOf(await send("POST", path, signal, { headers, body: body.toString() }), secrets);
    },
    async refunds(paymentIntentId, signal) {
      const response = await send("GET", `/v1/refunds?${new URLSearchParams({ payment_intent: paymentIntentId, limit: "100" }).toString()}`, signal);
      if (response.status >= 300) {
        const reply = replyOf(response, secrets);
        if (reply.kind === "refused") throw reply.error;
      }
      const { data, has_more: more } = read(refundList, response, "a list of refunds");
      return { refunds: data, more: more ?? false };
    },
  };
}

function baseUrl({ url: text, allowPrivate = false }: PaymentSettings): { url: URL; text: string; allowPrivate: boolean } {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw refused("something that is no URL");
  // Whoever writes down this very machine means it; a stand-in for the provider runs there in tests and development.
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  const allowed = allowPrivate || loopback;
  try {
    parseTarget(text, { allowPrivate: allowed });
  } catch (error) {
    throw refused(`one that cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (url.protocol !== "https:" && !allowed) throw refused("one that begins with http://, so that everybody on the way could read the key");
  if (url.search !== "" || url.hash !== "") throw refused("one with a ? or a #");
  return { url, text: `${url.origin}${url.pathname}`.replace(/\/+$/, ""), allowPrivate: allowed };
}

function refused(got: string): OutboxError {
  return new OutboxError("CONFIGURATION", `Expected PAYMENT_API_URL to be of the form https://api.stripe.com, got ${got}`.replace(/[^.]$/, "$&."));
}
