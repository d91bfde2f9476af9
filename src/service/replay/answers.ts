// What a receiver might have answered. For the built-in types something that they can go on with; for all others an empty
// object. It is made up: what the real receiver says, nobody knows before it is asked.

import type { Settings } from "../config.ts";
import type { Answer, HttpRequest } from "./sink.ts";

/** `asked`: what the person at the keyboard wants to see answered. */
export function answersFor(type: string, payload: unknown, { endpoints }: Pick<Settings, "endpoints">, asked: Partial<Answer>): (request: HttpRequest) => Answer {
  return (request) => {
    const { status = 200 } = asked;
    const body = asked.body ?? (status < 300 ? JSON.stringify(madeUp(type, payload, request, endpoints)) : "{}");
    return { status, body };
  };
}

function madeUp(type: string, payload: unknown, request: HttpRequest, endpoints: Settings["endpoints"]): unknown {
  if (type.startsWith("payment.")) return ofPaymentProvider(request);
  if (type === "data.sync" && request.method === "GET") return ofSource(payload, endpoints);
  if (type === "notification.deliver") return { messages: [{ id: "made-up" }] };
  return {};
}

function ofPaymentProvider({ method, url, body }: HttpRequest): unknown {
  const { pathname } = new URL(url);
  const form = new URLSearchParams(body);
  if (method === "GET") return { object: "list", data: [], has_more: false };
  if (pathname.endsWith("/refunds")) return { id: "re_made_up", status: "succeeded", ...amountOf(form.get("amount")) };
  const [, id = "pi_made_up"] = /\/payment_intents\/([^/]+)\//.exec(pathname) ?? [];
  return pathname.endsWith("/cancel") ? { id, status: "canceled" } : { id, status: "succeeded", ...amountOf(form.get("amount_to_capture")) };
}

const amountOf = (amount: string | null) => (amount === null ? {} : { amount: Number(amount), amount_received: Number(amount) });

/** No items, where the endpoint looks for them. */
function ofSource(payload: unknown, endpoints: Settings["endpoints"]): unknown {
  const source = typeof payload === "object" && payload !== null && "source" in payload && typeof payload.source === "string" ? payload.source : "";
  const endpoint = Object.hasOwn(endpoints, source) ? endpoints[source] : undefined;
  const path = endpoint?.kind === "http" && endpoint.itemsAt !== undefined ? endpoint.itemsAt.split(".") : [];
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), []);
}
