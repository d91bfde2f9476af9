// Reads the body of a request as JSON, within limits that are measured, not believed: bytes as they arrive, whatever
// Content-Length says, and levels of nesting before anything is parsed.

import { isExactNumber } from "../outbox/exact-number.ts";
import { Problem } from "./problem.ts";

/** A payload may have 200 levels (outbox/payload.ts), within a job within a list within the body. */
const maxDepth = 204;

/** The JSON of the body; undefined: there is none. Throws 400, 408, 413 or 415. `deadline` ends the wait for it. */
export async function readJson(request: Request, maxBytes: number, deadline: AbortSignal): Promise<unknown> {
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") throw new Problem("unsupported_media_type", `Expected a body that is not encoded, got the Content-Encoding ${JSON.stringify(encoding)}.`);
  const mediaType = request.headers.get("content-type");
  if (mediaType !== null && !isJson(mediaType)) throw new Problem("unsupported_media_type", `Expected the Content-Type application/json in UTF-8, got ${JSON.stringify(mediaType)}.`);
  const bytes = await readBytes(request, maxBytes, deadline);
  if (bytes.byteLength === 0) return undefined;
  if (mediaType === null) throw new Problem("unsupported_media_type", "Expected the Content-Type application/json, got none.");
  return parseJson(textOf(bytes));
}

function isJson(mediaType: string): boolean {
  const [name = "", ...parameters] = mediaType.toLowerCase().split(";").map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  return (name === "application/json" || /^application\/[\w.-]+\+json$/.test(name)) && (charset === undefined || /^charset="?utf-?8"?$/.test(charset));
}

async function readBytes(request: Request, maxBytes: number, deadline: AbortSignal): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return new Uint8Array();
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  let late: () => void = () => undefined;
  const over = new Promise<never>((_, reject) => {
    late = () => reject(new Problem("timeout_of_body", "The body did not arrive in time."));
    deadline.addEventListener("abort", late, { once: true });
  });
  over.catch(() => undefined); // nobody may be waiting any more
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    if (deadline.aborted) late();
    for (;;) {
      const { done, value } = await Promise.race([reader.read().catch(brokenOff), over]);
      if (done) return Buffer.concat(chunks, total);
      total += value.byteLength;
      if (total > maxBytes) throw tooLarge(maxBytes);
      chunks.push(value);
    }
  } finally {
    deadline.removeEventListener("abort", late);
    // What is not read is not wanted; the answer does not wait for a sender who goes on.
    void reader.cancel().catch(() => undefined);
  }
}

function brokenOff(cause: unknown): never {
  throw new Problem("invalid_request", "The body broke off.", { cause });
}

function tooLarge(maxBytes: number): Problem {
  return new Problem("too_large", `Expected a body of at most ${maxBytes} bytes, got more.`, { headers: { connection: "close" } });
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Problem("invalid_request", "Expected a body in UTF-8, got other bytes.", { cause });
  }
}

function parseJson(text: string): unknown {
  const problem = problemOf(text);
  if (problem !== null) throw new Problem("invalid_request", problem);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem("invalid_request", "Expected a body of JSON, got something else.", { cause });
  }
}

/**
 * What a parser should not be given, or would change without a word. It walks over what is outside of texts: brackets, so that
 * no parser has to go down before it is known how deep; and whole numbers, of which JavaScript keeps about 16 digits.
 */
function problemOf(text: string): string | null {
  const number = /(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
  let depth = 0;
  let inText = false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (inText) {
      if (code === 0x5c) index += 1;
      else if (code === 0x22) inText = false;
    } else if (code === 0x22) inText = true;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > maxDepth) return `Expected JSON of at most ${maxDepth} levels, got a deeper one.`;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
    else if (code >= 0x30 && code <= 0x39) {
      number.lastIndex = index;
      const [word = ""] = number.exec(text) ?? [];
      // Programs write fractions with one digit more than there is to them, and mean the same number.
      const kept = word.includes(".") ? Number.isFinite(Number(word)) : isExactNumber(word);
      if (!kept) return `Expected a number that JavaScript can hold, got ${word.slice(0, 40)}, which would become ${Number(word)}. Send it as a text.`;
      index += word.length - 1;
    }
  }
  return null;
}
