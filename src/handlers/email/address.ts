// One mail address as people write it: "ada@example.com", "Ada <ada@example.com>" or { name, address }.
// Stricter than the RFCs on purpose: one value is one recipient, however it is quoted, folded or commented.

import { domainToASCII } from "node:url";
import { z } from "zod";
import { eachOf } from "../../outbox/each-of.ts";
import { shown as written } from "../../outbox/errors.ts";
import { headerProblem } from "./header-text.ts";

/** An address in a payload. Use the object when the name comes from a user: then no quoting is needed. */
export type AddressInput = string | { readonly name?: string; readonly address: string };

/** An address that has been checked; its domain is in ASCII. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

const maxTextLength = 400;
// `"Any name" <address>` or `Name <address>`; in a bare name the characters that separate or group addresses are refused.
const named = /^(?:"((?:[^"\\]|\\["\\])*)"|([^"<>@,;:\\]*))<([^<>]*)>$/;
const atoms = /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
const domainLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** The mailbox that `value` names, or why it names none. */
export function parseMailbox(value: unknown): Mailbox | { readonly problem: string } {
  const given = typeof value === "string" ? splitNamed(value) : fromObject(value);
  if (given === null) return { problem: `expected one address such as "ada@example.com" or "Ada <ada@example.com>", got ${shown(value)}` };
  const problem = headerProblem(given.whole) ?? headerProblem(given.name);
  if (problem !== null) return { problem };
  const address = normalAddress(given.address);
  if (given.whole.length <= maxTextLength && address !== null) return { name: given.name.trim(), address };
  return { problem: `expected one address such as "ada@example.com" or "Ada <ada@example.com>" (several go into a list), got ${shown(value)}` };
}

function splitNamed(text: string): { whole: string; name: string; address: string } {
  // The length is looked at before the pattern is, so that no input makes the pattern slow.
  const match = text.length <= maxTextLength ? named.exec(text.trim()) : null;
  if (match === null) return { whole: text, name: "", address: text.trim() };
  const quoted = match[1]?.replaceAll(/\\(.)/g, "$1");
  return { whole: text, name: quoted ?? match[2] ?? "", address: match[3] ?? "" };
}

function fromObject(value: unknown): { whole: string; name: string; address: string } | null {
  if (typeof value !== "object" || value === null || !("address" in value)) return null;
  const { address, name = "", ...others }: { address: unknown; name?: unknown } = value;
  if (typeof address !== "string" || typeof name !== "string" || Object.keys(others).length > 0) return null;
  return { whole: `${name} <${address}>`, name, address };
}

function normalAddress(text: string): string | null {
  const at = text.lastIndexOf("@");
  const local = text.slice(0, Math.max(at, 0));
  const domain = normalDomain(text.slice(at + 1));
  return domain !== null && Buffer.byteLength(local) <= 64 && atoms.test(local) ? `${local}@${domain}` : null;
}

function normalDomain(text: string): string | null {
  // Checked before the conversion too, because that decodes %41 and other spellings of a letter.
  const ascii = /^[\p{L}\p{M}\p{N}.-]+$/u.test(text) ? domainToASCII(text) : "";
  const labels = ascii.split(".");
  const complete = labels.length > 1 ? /[a-z]/.test(labels.at(-1) ?? "") : ascii === "localhost";
  return complete && ascii.length <= 253 && labels.every((label) => domainLabel.test(label)) ? ascii : null;
}

function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : written(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** One address in the contract's JSON Schema. What parseMailbox checks beyond this, JSON Schema cannot say. */
const addressJsonSchema = {
  anyOf: [
    { type: "string", maxLength: maxTextLength, description: '"ada@example.com" or "Ada <ada@example.com>"' },
    { type: "object", properties: { name: { type: "string" }, address: { type: "string" } }, required: ["address"], additionalProperties: false },
  ],
};

/** One address or a list of them. */
export const mailboxes = z.custom<AddressInput | readonly AddressInput[]>().meta({ anyOf: [...addressJsonSchema.anyOf, { type: "array", items: addressJsonSchema }] }).transform((value, ctx): Mailbox[] => {
  return eachOf(value).flatMap((item, index) => {
    const mailbox = parseMailbox(item);
    if (!("problem" in mailbox)) return [mailbox];
    ctx.addIssue({ code: "custom", message: mailbox.problem, path: Array.isArray(value) ? [index] : [] });
    return [];
  });
});
