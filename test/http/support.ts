// A handler over a test's own outbox, asked as a client would; every answer is held against the OpenAPI document.

import type { ErrorObject, ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { z } from "zod";
import type { HttpHandler, HttpHandlerOptions } from "../../src/http.ts";
import { createHttpHandler } from "../../src/http.ts";
import { defineJob } from "../../src/index.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";

export const tokens = { view: "view-token-0123456789abcdef0123456789", operate: "operate-token-0123456789abcdef012345", run: "run-token-0123456789abcdef0123456789a" } as const;

/** What may be enqueued in these tests: one with a schema, one without. */
export const greet = defineJob({ type: "greet", schema: z.object({ name: z.string(), password: z.string().optional(), at: z.object({ day: z.iso.date() }).optional() }) });
export const anything = defineJob({ type: "work" });

/** What tests look at in answers; which of it there is, the document says, and every answer has been held against that. */
export interface SaidBody {
  readonly id: string;
  readonly status: string | number;
  readonly payload: unknown;
  readonly jobs: readonly { readonly id: string; readonly deduplicated?: boolean }[];
  readonly next: string | null;
  readonly code: string;
  readonly detail: string;
  readonly path?: string;
  readonly requestId: string;
  readonly report: Readonly<Record<string, unknown>>;
  readonly job: unknown;
  readonly problems: readonly string[];
  readonly enqueues: readonly string[];
}

export interface Said {
  readonly status: number;
  readonly headers: Headers;
  readonly body: SaidBody;
  readonly text: string;
}

export interface Asking {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the request, in place of `body`. */
  readonly raw?: string | Uint8Array | ReadableStream;
}

export interface Client {
  readonly handler: HttpHandler;
  get(path: string, asking?: Asking): Promise<Said>;
  post(path: string, asking?: Asking): Promise<Said>;
  ask(method: string, path: string, asking?: Asking): Promise<Said>;
}

export function clientOf(outbox: Outbox, options: HttpHandlerOptions = {}): Client {
  const handler = createHttpHandler(outbox, { tokens, contracts: [greet, anything], onError: () => undefined, ...options });
  return { handler, ...asking(handler) };
}

/** Asks as the holder of `token`; by default nobody's. */
export function asking(handler: (request: Request) => Promise<Response>): Omit<Client, "handler"> {
  const ask = async (method: string, path: string, { token, body, headers = {}, raw }: Asking = {}): Promise<Said> => {
    const request = new Request(`http://localhost${path}`, {
      method,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(raw !== undefined && { body: raw, duplex: "half" }),
    });
    return said(await handler(request), method, new URL(request.url).pathname);
  };
  return { ask, get: (path, more) => ask("GET", path, more), post: (path, more) => ask("POST", path, more) };
}

async function said(response: Response, method: string, path: string): Promise<Said> {
  const text = await response.text();
  const body: unknown = /\bjson\b/.test(response.headers.get("content-type") ?? "") && text !== "" ? JSON.parse(text) : undefined;
  if (method !== "HEAD") holdAgainst(await theDocument(), { method, path, status: response.status, contentType: response.headers.get("content-type") ?? "", body });
  return { status: response.status, headers: response.headers, body: body as SaidBody, text }; // held against the document above
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
export interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: object; readonly explode?: boolean }[];
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>>;
}

let made: Promise<Document> | null = null;
/** The document of a handler with everything; the same whatever outbox is behind it. */
export function theDocument(): Promise<Document> {
  return (made ??= (async () => {
    const nowhere = {} as Outbox; // no route but that of the document is asked
    const handler = createHttpHandler(nowhere, { tokens, contracts: [greet, anything], handlers: [{ contract: anything, run: () => Promise.resolve(null) }], metrics: { text: () => Promise.resolve({ contentType: "text/plain", body: "" }) } });
    const response = await handler(new Request("http://localhost/api/openapi.json", { headers: { authorization: `Bearer ${tokens.view}` } }));
    return (await response.json()) as Document;
  })());
}

const validators = new Map<string, ValidateFunction>();

/** The operation of a request; null: none is documented. */
export function operationAt(document: Document, method: string, path: string): { readonly operation: Operation; readonly key: string } | null {
  // Mounted wherever: the shortest of what may stand before it; and a path of words goes before one with an id.
  const baseOf = (template: string) => new RegExp(`^((?:/[^/]+)*?)${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).exec(path)?.[1]?.length;
  const [found] = Object.entries(document.paths)
    .filter(([template]) => baseOf(template) !== undefined)
    .sort(([one], [other]) => (baseOf(one) ?? 0) - (baseOf(other) ?? 0));
  const operation = found?.[1][method.toLowerCase()];
  return found === undefined || operation === undefined ? null : { operation, key: `${method} ${found[0]}` };
}

/** Throws when the answer is not one that is documented. */
function holdAgainst(document: Document, { method, path, status, contentType, body }: { method: string; path: string; status: number; contentType: string; body: unknown }): void {
  const at = operationAt(document, method, path);
  if (at === null) {
    if (status !== 404 && status !== 405) throw new Error(`${method} ${path} is not documented, and was answered by ${status}`);
    return;
  }
  const form = at.operation.responses[String(status)];
  if (form === undefined && (status === 405 || text(body) === "There is nothing here.")) return; // this handler has it not, by its options
  if (form === undefined) throw new Error(`${at.key} answered ${status}, which is not documented: ${JSON.stringify(body)}`);
  const mediaType = contentType.split(";")[0] ?? "";
  const content = form.content?.[mediaType];
  if (content === undefined) throw new Error(`${at.key} answered ${status} as ${mediaType}, which is not documented`);
  if (mediaType === "text/plain") return;
  const name = `${at.key} ${status} ${mediaType}`;
  const validate = validators.get(name) ?? validatorOf(document, content.schema);
  validators.set(name, validate);
  if (!validate(body)) throw new Error(`${name}: the answer is not as documented: ${JSON.stringify(validate.errors satisfies ErrorObject[] | null | undefined)} in ${JSON.stringify(body)}`);
}

function text(body: unknown): unknown {
  return typeof body === "object" && body !== null && "detail" in body ? body.detail : null;
}

export function validatorOf(document: Document, schema: object): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats: { base64: true } });
  addFormats.default(ajv);
  return ajv.compile({ ...document, $id: "https://postcommit.invalid/openapi.json", ...schema });
}
