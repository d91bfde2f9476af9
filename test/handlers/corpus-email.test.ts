// Whatever a payload of email.send holds, and in whichever field: either nothing is sent, or a mail with exactly the headers,
// the recipients and the parts that were asked for. What is refused, and by which sentence, is in email/refusals.test.ts.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emailSendHandler } from "../../src/handlers/email-send.ts";
import { FinalError } from "../../src/outbox/errors.ts";
import { runHandler } from "../support/run-handler.ts";
import type { ReceivedMail, TestSmtp } from "../support/smtp.ts";
import { startSmtp } from "../support/smtp.ts";

let folder: string;
let smtp: TestSmtp;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "corpus-email-"));
  await writeFile(join(folder, "offer.pdf"), "%PDF-1.7");
  smtp = await startSmtp();
});
afterAll(async () => {
  await smtp[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let jobs = 0;

/** The mail that went out; null when the payload was refused for good. Anything else fails the test. */
async function sent(payload: object): Promise<ReceivedMail | null> {
  const handler = emailSendHandler({ smtpUrl: smtp.url, from: "no-reply@acme.example", mailDir: folder, documentsDir: folder });
  jobs += 1;
  const jobId = `job-${jobs}`;
  const error: unknown = await runHandler(handler, payload, { jobId }).then(() => null, (reason: unknown) => reason);
  const mails = smtp.mails.filter(({ raw }) => raw.includes(`<${jobId}@acme.example>`));
  expect([payload, error === null || error instanceof FinalError, mails.length]).toEqual([payload, true, error === null ? 1 : 0]);
  return mails[0] ?? null;
}

const ordinary = ["content-transfer-encoding", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"];
const optional = new Set(["cc", "reply-to", "content-transfer-encoding"]);

/** That nothing stands in the mail that was not asked for. */
function expectNothingMore(mail: ReceivedMail, recipients: readonly string[], parts: number): void {
  const names = mail.parsed.headers.map(({ key }) => key);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !ordinary.includes(name) && !optional.has(name))).toEqual([]);
  expect(names).toEqual(expect.arrayContaining(ordinary.filter((name) => !optional.has(name))));
  expect(mail.from).toBe("no-reply@acme.example");
  expect(mail.to).toEqual(recipients);
  expect(mail.parsed.attachments).toHaveLength(parts);
  // Lines end as SMTP wants them, so that no server reads a bare one as the end of something.
  expect(mail.raw).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
}

const attacks = [
  "x\r\nBcc: evil@example.com", "x\nBcc: evil@example.com", "x\rBcc: evil@example.com", "\r\n\r\nBcc: evil@example.com", "x\r\n\tBcc: evil@example.com",
  "x\r\n.\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<evil@example.com>\r\nDATA\r\n", "x\n.\nMAIL FROM:<evil@example.com>", "x\r.\rRSET",
  "x\u0000\r\nBcc: evil@example.com", "x\u000b\u000cBcc: evil@example.com", "x\u001b]0;evil\u0007", "x\u0085Bcc: evil@example.com", "x\u2028Bcc: evil@example.com", "x\u2029Bcc: evil@example.com",
  // Cut down to one byte each, these are CR and LF; so are the two after them, of which one is a letter.
  "x\u010d\u010aBcc: evil@example.com", "x\u560d\u560aBcc: evil@example.com", "x\u020d\u020aBcc:evil@example.com", "x嘍嘊Bcc: evil@example.com",
  // Encoded for somebody who might decode them.
  "x%0d%0aBcc: evil@example.com", "x%250d%250aBcc: evil@example.com", "x\\r\\nBcc: evil@example.com", "x&#13;&#10;Bcc: evil@example.com", "x=0D=0ABcc: evil@example.com", "x+AA0ACg-Bcc: evil@example.com",
  "=?utf-8?q?=0D=0ABcc:_evil@example.com?=", "=?UTF-8?B?DQpCY2M6IGV2aWxAZXhhbXBsZS5jb20=?=", "=?iso-8859-1*en?Q?x?=", "=?utf-7?q?+AA0-?=", "=?utf-8?q?a?= =?utf-8?q?=0A?=", "=? utf-8?q?x?=", "=?utf-8?x?y?=",
  // What separates, groups and comments addresses.
  'x" <evil@example.com>, "y', "x, evil@example.com", "x; evil@example.com", "x <evil@example.com>", "evil@example.com, x", "x: evil@example.com;", "(evil@example.com) x", 'x\\" <evil@example.com>', "x>, <evil@example.com", "<evil@example.com>",
  // Parts of a multipart mail, and parameters of a header.
  'x"; filename="evil.exe', "x\r\n--boundary\r\nContent-Type: text/html\r\n\r\n<script>", "----_NmP", "x'; name*=utf-8''evil.exe", "x; boundary=evil", "--x--",
  // Invisible, reversing, combining, very long.
  "x\u202Eevil", "x\u2066evil\u2069", "\ufeffx", "x\u200b@\u200by", "x\u{e0042}\u{e0063}\u{e0063}", "Z\u0351\u036b\u0343".repeat(50), "👩‍👩‍👧‍👦 Ünï 漢字 עברית", "x".repeat(490), "x ".repeat(240), "漢".repeat(160),
];

const piece = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constantFrom("\r\n", "\n", "\r", "Bcc: evil@example.com", '"', "<", ">", ",", ";", ":", "\\", "@", "=?utf-8?b?", "?=", "\u2028", "\u0000", "--", " "),
);
const texts = fc.sample(fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")), { numRuns: 15, seed: 7351 });

const to = "ada@example.com";
const plain = { to, subject: "Hello", body: "How are you?" };
/** Each field that holds a text of the payload's: how it gets there, who is to get the mail, and how many attachments it has. */
const fields: readonly [string, (text: string) => object, recipients?: readonly string[], parts?: number][] = [
  ["the subject", (text) => ({ ...plain, subject: text })],
  ["the text", (text) => ({ ...plain, body: text })],
  ["the HTML", (text) => ({ ...plain, html: text })],
  ["the recipient's name", (text) => ({ ...plain, to: { name: text, address: to } })],
  ["the recipient's name, quoted", (text) => ({ ...plain, to: `"${text}" <${to}>` })],
  ["the recipient's name, bare", (text) => ({ ...plain, to: `${text} <${to}>` })],
  ["a name in cc", (text) => ({ ...plain, cc: [{ name: text, address: "bob@example.com" }] }), [to, "bob@example.com"]],
  ["a name in bcc", (text) => ({ ...plain, bcc: [{ name: text, address: "bob@example.com" }] }), [to, "bob@example.com"]],
  ["a name in replyTo", (text) => ({ ...plain, replyTo: { name: text, address: "bob@example.com" } })],
  ["an attachment's name", (text) => ({ ...plain, attachments: [{ filename: text, content: "aGVsbG8=" }] }), [to], 1],
  ["a document's other name", (text) => ({ ...plain, attachments: [{ document: "offer.pdf", filename: text }] }), [to], 1],
  ["an attachment's type", (text) => ({ ...plain, attachments: [{ filename: "a.txt", content: "", contentType: `text/${text}` }] }), [to], 1],
  ["a parameter of its type", (text) => ({ ...plain, attachments: [{ filename: "a.txt", content: "", contentType: `text/plain; charset=${text}` }] }), [to], 1],
  ["an attachment's cid", (text) => ({ ...plain, html: `<img src="cid:${text}">`, attachments: [{ filename: "a.png", content: "", cid: text }] }), [to], 1],
  ["a template's name", (text) => ({ to, template: "dispute.opened", data: { name: text, amount: 1, currency: "EUR", reference: "P-7", reason: "r" } })],
  ["a template's reference", (text) => ({ to, template: "dispute.opened", data: { name: "n", amount: 1, currency: "EUR", reference: text, reason: "r" } })],
  ["a template's reason", (text) => ({ to, template: "dispute.opened", data: { name: "n", amount: 1, currency: "EUR", reference: "P-7", reason: text } })],
  ["a template's link", (text) => ({ to, template: "payment.confirmed", data: { name: "n", amount: 1, currency: "EUR", reference: "P-7", link: `https://acme.example/${text}` } })],
];

describe.each(fields)("in %s", (_field, payload, recipients = [to], parts = 0) => {
  test("no attack adds a header, a recipient or a part, and neither does any other text", async () => {
    // All at once: a mail spends most of its time on waiting for the other side.
    const mails = await Promise.all([...attacks, ...texts].map((text) => sent(payload(text))));
    for (const mail of mails) if (mail !== null) expectNothingMore(mail, recipients, parts);
  });
});

describe("what is harmless arrives as it was written", () => {
  test.each(["x%0d%0aBcc: evil@example.com", "x\u010d\u010aBcc: evil@example.com", "x嘍嘊y", "a, b; c: <d> \"e\" \\f (g)", "👩‍👩‍👧‍👦 Ünï 漢字 עברית", "=20 is a space", "Re: [x] {y} #1 @all"])("the subject and the name %j", async (text) => {
    const mail = await sent({ ...plain, to: { name: text, address: to }, subject: text });
    expect(mail?.parsed.subject).toBe(text);
    expect(mail?.parsed.to).toEqual([{ name: text, address: to }]);
  });
});

describe("an address is one recipient, or refused", () => {
  test.each([
    // Quoted local parts, with everything that quotes hide; comments, folds, routes, groups.
    '"a b"@example.com', '"a@evil.example"@example.com', '"a\\"b"@example.com', '"<evil@example.com>"@example.com', '"a,b"@example.com', '"\\r\\nBcc: evil@example.com"@example.com', '""@example.com',
    "a(comment)@example.com", "a@(comment)example.com", "(c)a@example.com", "a @example.com", "a@ example.com", "a@example.com.", "a@.example.com", "a\t@example.com",
    "@one.example,@two.example:a@example.com", "all: a@example.com;", "undisclosed-recipients:;", "a%example.com@relay.example.com@evil.example", "a!b@example.com@evil.example",
    // What would become a dot, an at sign or a slash, or vanish, when a name is normalised.
    "a＠example.com", "a@example。com", "a@example．com", "a@example｡com", "a@exam\u00adple.com", "a@ex\u200bample.com", "a@example.com\u200b", "a@℀.example", "a@evil.example／.example.com", "a@ex⁄ample.com", "a@ⓔxample.com", "a@example.com\u3002evil.example",
    // No names of hosts.
    "a@127.0.0.1", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@0x7f.1", "a@１２７.0.0.1", "a@1.2", "a@com", "a@-example.com", "a@example-.com", "a@exa_mple.com", "a@example..com", "a@xn--a", `a@${"x".repeat(64)}.example`, `a@${"x.".repeat(130)}example`, "a@xn--\u0000.example",
    // Local parts that are none.
    ".a@example.com", "a.@example.com", "a..b@example.com", "a\u0000@example.com", "a\u00a0b@example.com", "a\u2028@example.com", "a\u200d@example.com", "a<b@example.com", "a>b@example.com", "a\\b@example.com", "a[b@example.com", "a@b@example.com", `${"ü".repeat(33)}@example.com`,
    "mailto:a@example.com", "a@example.com?bcc=evil@example.com", "a@example.com SIZE=1", "a@example.com> NOTIFY=SUCCESS",
  ])("%j is refused wherever it stands", async (address) => {
    const forms = [address, `Ada <${address}>`, { address }, { name: "Ada", address }];
    const payloads = ["to", "cc", "bcc", "replyTo"].flatMap((field) => forms.map((form) => ({ ...plain, [field]: form })));
    for (const payload of payloads) expect([payload, await sent(payload)]).toEqual([payload, null]);
  });

  test.each([
    ["a@bücher.example", "a@bücher.example"],
    ["a@BÜCHER.example", "a@bücher.example"],
    ["a@xn--bcher-kva.example", "a@bücher.example"],
    ["o'hara+tag@example.com", "o'hara+tag@example.com"],
    ["{a|b}~c/d=e?f^g`h@example.com", "{a|b}~c/d=e?f^g`h@example.com"],
    ["pelé@example.com", "pelé@example.com"],
    ["č\u010a@example.com", "č\u010a@example.com"],
    ["用户@例子.example", "用户@例子.example"],
  ])("%s goes to %s and to nobody else", async (address, recipient) => {
    const mail = await sent({ ...plain, to: [address] });
    expect(mail).not.toBeNull();
    expectNothingMore(mail!, [recipient], 0);
  });
});
