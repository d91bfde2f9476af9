// What email.send refuses before anything is sent: text that would become headers or recipients, fields that nodemailer
// would act on, files that are not ours.

import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FinalError } from "../../../src/outbox/errors.ts";
import { emailSendHandler } from "../../../src/handlers/email-send.ts";
import { runHandler } from "../../support/run-handler.ts";
import type { TestSmtp } from "../../support/smtp.ts";
import { startSmtp } from "../../support/smtp.ts";

let folder: string;
let documents: string;
let smtp: TestSmtp;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "email-refusals-"));
  documents = join(folder, "documents");
  await mkdir(documents);
  smtp = await startSmtp();
});
afterAll(async () => {
  await smtp[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const hello = { to: "ada@example.com", subject: "Hello", body: "How are you?" };

/** Sends `hello` with `changes`; the sentence it was refused with. Fails when anything was sent. */
async function refusal(changes: Record<string, unknown>): Promise<string> {
  const handler = emailSendHandler({ smtpUrl: smtp.url, from: "no-reply@acme.example", mailDir: folder, documentsDir: documents });
  const before = smtp.mails.length;
  const outcome: unknown = await runHandler(handler, { ...hello, ...changes }).catch((error: unknown) => error);
  expect(smtp.mails).toHaveLength(before);
  expect(outcome).toBeInstanceOf(FinalError);
  return (outcome as FinalError).message; // just checked
}

const attacksOnLines = [
  "x\r\nBcc: evil@example.com",
  "x\nBcc: evil@example.com",
  "x\rBcc: evil@example.com",
  "x\r\n Bcc: evil@example.com", // a folded header
  "x\n\tBcc: evil@example.com",
  "x\r\n\r\n<script>alert(1)</script>", // the end of the headers
  "x\r\n.\r\nMAIL FROM:<evil@example.com>", // the end of the mail
  "x\u0000y",
  "x\u000by",
  "x\u000cy",
  "x\u001by",
  "x\u007fy",
  "x\u0085Bcc: evil@example.com",
  "x\u2028Bcc: evil@example.com",
  "x\u2029Bcc: evil@example.com",
  "=?utf-8?q?x=0D=0ABcc:_evil@example.com?=",
  "=?UTF-8?B?eA0KQmNjOiBldmlsQGV4YW1wbGUuY29t?=",
];

describe.each(attacksOnLines.map((attack) => [JSON.stringify(attack), attack] as const))("%s is refused and nothing is sent", (_name, attack) => {
  test.each([
    ["in the subject", "payload.subject ", { subject: attack }],
    ["in an address", "payload.to ", { to: `${attack}@example.com` }],
    ["after an address", "payload.cc[1] ", { cc: ["bob@example.com", `bob@example.com${attack.slice(1)}`] }],
    ["in a name", "payload.bcc ", { bcc: `${attack} <bob@example.com>` }],
    ["in a quoted name", "payload.replyTo ", { replyTo: `"${attack}" <bob@example.com>` }],
    ["in a name of its own", "payload.to[0] ", { to: [{ name: attack, address: "bob@example.com" }] }],
    ["in an attachment's name", "payload.attachments[0].filename ", { attachments: [{ filename: attack, content: "aGVsbG8=" }] }],
    ["in an attachment's type", "payload.attachments[0].contentType ", { attachments: [{ filename: "a", content: "", contentType: `text/plain; a=${attack}` }] }],
    ["in a document's name", "payload.attachments[0].document ", { attachments: [{ document: attack }] }],
    ["in a template's data", "payload.data.reference ", { subject: undefined, body: undefined, template: "payment.confirmed", data: { name: "Ada", amount: 1, currency: "EUR", reference: attack } }],
  ])("%s", async (_place, path, changes) => {
    expect(await refusal(changes)).toContain(path);
  });
});

describe("one value is one recipient", () => {
  test.each([
    "a@b.example, c@d.example",
    "a@b.example,c@d.example",
    "a@b.example; c@d.example",
    "a@b.example c@d.example",
    "a@b.example> <c@d.example",
    "<a@b.example> <c@d.example>",
    "a@b.example <c@d.example>, <e@f.example>",
    "Doe, c@d.example <a@b.example>",
    "friends: a@b.example, c@d.example;",
    "a@b.example (c@d.example)",
    '"a@b.example, x"@d.example',
    "a@b.example@d.example",
    "<a@b.example>,",
    "@relay.example:a@b.example",
    "a@[127.0.0.1]",
    "a@127.0.0.1",
    "a@b",
    "a@",
    "@b.example",
    "a@b..example",
    "a..b@c.example",
    "a@%62.example",
    "a@-b.example",
    "Ada",
    "",
    `${"a".repeat(65)}@b.example`,
    `${"x".repeat(100_000)} <`,
  ])("%j is refused", async (to) => {
    expect(await refusal({ to: [to] })).toMatch(/payload\.to\[0\] does not fit: expected one address/);
  });

  test.each([[null], [7], [{}], [{ address: "a@b.example", headers: {} }], [{ address: ["a@b.example"] }], [["a@b.example"]]])("%j is refused", async (to) => {
    expect(await refusal({ to: [to] })).toMatch(/payload\.to\[0\] does not fit: expected one address/);
  });

  test("no recipient is refused, and so are more than a hundred", async () => {
    expect(await refusal({ to: undefined })).toMatch(/payload\.to does not fit: expected one address .*got nothing/);
    expect(await refusal({ to: [] })).toMatch(/payload\.to does not fit: expected at least one recipient/);
    const many = Array.from({ length: 60 }, (_, index) => `a${index}@example.com`);
    expect(await refusal({ to: many, bcc: many })).toMatch(/at most 100 recipients in to, cc and bcc together, got 120/);
  });
});

describe("a field that is not part of a mail is refused by its name", () => {
  test.each(["path", "href", "raw", "envelope", "list", "headers", "from", "sender", "alternatives", "icalEvent", "text", "messageId", "dkim", "auth"])("%s", async (field) => {
    expect(await refusal({ [field]: "x" })).toContain(`"${field}"`);
  });

  test.each(["path", "href", "raw", "headers", "encoding", "contentDisposition"])("%s of an attachment", async (field) => {
    const message = await refusal({ attachments: [{ filename: "a.txt", content: "aGVsbG8=", [field]: "/etc/passwd" }] });
    expect(message).toContain("payload.attachments[0] ");
    expect(message).toContain(`"${field}"`);
  });

  test("content that is an object with a path is refused", async () => {
    expect(await refusal({ attachments: [{ filename: "a.txt", content: { path: "/etc/passwd" } }] })).toContain("payload.attachments[0].content ");
    expect(await refusal({ body: { path: "/etc/passwd" } })).toContain("payload.body ");
    expect(await refusal({ html: { href: "http://127.0.0.1/" } })).toContain("payload.html ");
  });
});

describe("an attachment", () => {
  test.each(["../../etc/passwd", "..", ".", "/etc/passwd", "a/../../b", "..\\..\\secret", "C:\\secret", ".hidden", "documents/a.pdf", "a.pdf\u0000.txt"])("the document %j is refused", async (document) => {
    expect(await refusal({ attachments: [{ document }] })).toContain("payload.attachments[0].document ");
  });

  test("a document that does not exist yet is waited for: the job that makes it may be of the same transaction", async () => {
    const handler = emailSendHandler({ smtpUrl: smtp.url, from: "no-reply@acme.example", mailDir: folder, documentsDir: documents });
    const before = smtp.mails.length;
    const outcome: unknown = await runHandler(handler, { ...hello, attachments: [{ document: "nothing.pdf" }] }).catch((error: unknown) => error);
    expect(outcome).toBeInstanceOf(Error);
    expect(outcome).not.toBeInstanceOf(FinalError);
    expect(String(outcome)).toMatch(/"nothing\.pdf" cannot be attached: there is no such file in the documents folder yet/);
    expect(smtp.mails).toHaveLength(before);
  });

  test("a link, a folder and a pipe in the documents folder are refused", async () => {
    await writeFile(join(folder, "secret"), "secret");
    await symlink(join(folder, "secret"), join(documents, "link.pdf"));
    await mkdir(join(documents, "folder.pdf"));
    execFileSync("mkfifo", [join(documents, "pipe.pdf")]);
    expect(await refusal({ attachments: [{ document: "link.pdf" }] })).toMatch(/"link\.pdf" cannot be attached: it is a symbolic link/);
    expect(await refusal({ attachments: [{ document: "folder.pdf" }] })).toMatch(/it is not a plain file/);
    expect(await refusal({ attachments: [{ document: "pipe.pdf" }] })).toMatch(/it is not a plain file/);
  });

  test("documents of more than 20 MB together are refused", async () => {
    await writeFile(join(documents, "eleven.bin"), "");
    await truncate(join(documents, "eleven.bin"), 11 * 1024 * 1024);
    const message = await refusal({ attachments: [{ document: "eleven.bin" }, { document: "eleven.bin" }] });
    expect(message).toMatch(/"eleven\.bin" cannot be attached: expected the documents of one mail to have at most 20971520 bytes together/);
  });

  test("needs either content with a filename, or a document", async () => {
    expect(await refusal({ attachments: [{ filename: "a.txt" }] })).toMatch(/payload\.attachments\[0\] does not fit: expected either content/);
    expect(await refusal({ attachments: [{ content: "aGVsbG8=" }] })).toMatch(/expected a filename beside content/);
    expect(await refusal({ attachments: [{ filename: "a", content: "", document: "a.pdf" }] })).toMatch(/expected either content/);
    expect(await refusal({ attachments: [{ filename: "a", content: "not base64!" }] })).toContain("payload.attachments[0].content ");
    expect(await refusal({ attachments: [{ filename: "a", content: "", contentType: "multipart/mixed" }] })).toMatch(/attach it as application\/octet-stream/);
  });

  test("with a cid is part of the HTML: it needs HTML that shows it, and a cid of its own", async () => {
    const logo = { filename: "logo.png", content: "aGVsbG8=", cid: "logo" };
    expect(await refusal({ attachments: [logo] })).toMatch(/payload\.attachments\[0\]\.cid does not fit: expected html that shows it as "cid:logo", got no html/);
    expect(await refusal({ html: "<img src='cid:other'>", attachments: [logo] })).toMatch(/got html without that/);
    expect(await refusal({ html: "<img src='cid:logo'>", attachments: [logo, { ...logo, filename: "b.png" }] })).toMatch(/payload\.attachments\[1\]\.cid does not fit: .*got "logo" twice/);
    const letter = { subject: undefined, body: undefined, template: "payment.confirmed", data: { name: "Ada", amount: 1, currency: "EUR", reference: "P-7" } };
    expect(await refusal({ ...letter, attachments: [logo] })).toMatch(/payload\.attachments\[0\]\.cid does not fit: expected html/);
  });

  test.each(["", "a b", "<logo>", "logo>\r\nX-Evil: 1", "lo\u2028go", "../logo", "logo@a@b", "ÿ", "x".repeat(102)])("the cid %j is refused", async (cid) => {
    expect(await refusal({ html: `<img src="cid:${cid}">`, attachments: [{ filename: "a.png", content: "", cid }] })).toContain("payload.attachments[0].cid ");
  });
});
