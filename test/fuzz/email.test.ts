// Mail: what is accepted is built, by the real mailer, into a message with just the headers, recipients and parts that were
// asked for. Over SMTP, with attacks by name: test/handlers/corpus-email.test.ts.

import fc from "fast-check";
import { createTransport } from "nodemailer";
import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import { emailSend } from "../../src/handlers/email-send.ts";
import type { Mailbox } from "../../src/handlers/email/address.ts";
import { parseMailbox } from "../../src/handlers/email/address.ts";
import { buildMessage } from "../../src/handlers/email/message.ts";
import { smtpOptions } from "../../src/handlers/email/smtp-options.ts";
import { PayloadError } from "../../src/outbox/errors.ts";
import { checkPayload } from "../../src/outbox/schema.ts";
import { fuzz, fuzzTimeoutMs, nearly, oddText, oddValue, outcomeOf, refusedAs, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
const pieces = ["ada", "@", "example.com", "@evil.example", "<", ">", '"', ",", ";", ":", "\\", "(", ")", " ", ".", "\r\n", "\nBcc: e@evil.example", "=?utf-8?q?", "?=", "=0D=0A", "bücher.example", "xn--a", "。", "＠", "\u2028", "\u00ad", "+", "%", "[127.0.0.1]", "--", "\u0000"];
const word = fc.oneof(soupOf(pieces), oddText);
const address = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>("ada@example.com", "Bob <bob@example.org>", { name: "Åsa, M.", address: "asa@bücher.example" }, '"x \\" y" <x@example.net>') },
  { weight: 2, arbitrary: fc.oneof(word, word.map((name) => `${name} <ada@example.com>`), word.map((name) => `"${name}" <ada@example.com>`), word.map((local) => `${local}@example.com`), word.map((domain) => `ada@${domain}`)) },
  { weight: 2, arbitrary: fc.record({ name: word, address: fc.oneof(fc.constant("ada@example.com"), word) }) },
);
const addresses = fc.oneof(address, fc.array(address, { maxLength: 3 }));

describe("an address", () => {
  it("is refused, or is one recipient to every reader of mail: to the parser of another library as well", { timeout }, async () => {
    await fuzz(address, 20, async (given) => {
      const mailbox = parseMailbox(given);
      if ("problem" in mailbox) {
        expect(mailbox.problem).toMatch(/^expected /);
        return;
      }
      expect(mailbox.address).toMatch(/^[^\s<>@,;:"\\()]+@[a-z0-9.-]+$/);
      expect(mailbox.name).not.toMatch(/[\r\n\0]/);
      const raw = `To: ${JSON.stringify(mailbox.name)} <${mailbox.address}>\r\n\r\nx`;
      const { to = [] } = await PostalMime.parse(raw);
      expect(to.map((one) => one.address)).toEqual([mailbox.address]);
      // What was made of it is a mailbox, and the same one.
      expect(parseMailbox(mailbox)).toEqual(mailbox);
    });
  });

  it("of any kind of value is refused by a sentence", { timeout }, async () => {
    await fuzz(nearly(fc.record({ name: word, address: word }), oddValue), 50, (given) => {
      const mailbox = parseMailbox(given);
      if ("problem" in mailbox) expect(mailbox.problem).toMatch(/^expected /);
      else expect(Object.keys(mailbox)).toEqual(["name", "address"]);
    });
  });
});

/** "content-disposition": of a mail that is nothing but an attachment. */
const known = new Set(["content-disposition", "from", "to", "cc", "reply-to", "subject", "message-id", "date", "mime-version", "content-type", "content-transfer-encoding"]);
const settings = { from: { name: "Shop", address: "shop@acme.example" }, documentsDir: "/nowhere" };

it("a mail that is accepted has the headers, the recipients, the words and the attachments that were asked for, and no more", { timeout }, async () => {
  const attachment = fc.record({ filename: fc.oneof(fc.constant("a.txt"), word), content: fc.base64String({ maxLength: 12 }), contentType: fc.oneof(fc.constantFrom("text/plain", "application/pdf", "text/plain; charset=utf-8"), word) }, { requiredKeys: ["filename", "content"] });
  const mail = fc.record(
    { to: addresses, subject: fc.oneof(fc.constantFrom("Hello", "Grüße 👋"), word), body: fc.oneof(fc.constant("Text"), word), html: fc.oneof(fc.constant("<p>x</p>"), word), cc: addresses, bcc: addresses, replyTo: addresses, attachments: fc.array(attachment, { maxLength: 2 }) },
    { requiredKeys: ["to", "subject", "body"] },
  );
  await fuzz(fc.oneof({ weight: 5, arbitrary: mail }, { weight: 1, arbitrary: nearly(mail, oddValue) }), 20, async (payload) => {
    const { value: email } = await outcomeOf(() => checkPayload(emailSend, payload as never), (error) => error instanceof PayloadError);
    // Half a surrogate pair never comes here: an enqueue refuses it, and so does Postgres.
    if (email === undefined || !JSON.stringify(payload).isWellFormed() || /\\ud[89a-f]/i.test(JSON.stringify(payload))) return;
    const message = await buildMessage(email, settings, "job-1", new Set(), new AbortController().signal);
    const sent = await createTransport({ streamTransport: true, buffer: true, newline: "windows" }).sendMail(message);
    const raw = (sent.message as Buffer).toString();
    const recipients = [...email.to, ...email.cc, ...email.bcc].map((each) => each.address);
    expect([...new Set(sent.envelope.to)].sort()).toEqual([...new Set(recipients)].sort());
    expect(raw).not.toMatch(/\r(?!\n)|(?<!\r)\n/);

    const parsed = await PostalMime.parse(raw);
    const names = parsed.headers.map(({ key }) => key);
    expect(names.filter((name) => !known.has(name) && !(name === "bcc" && email.bcc.length > 0))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    const shownIn = (list: typeof parsed.to = []) => list.map((each) => unicode(each.address ?? ""));
    const wanted = (list: readonly Mailbox[]) => list.map((each) => unicode(each.address));
    expect([shownIn(parsed.to), shownIn(parsed.cc), shownIn(parsed.replyTo)]).toEqual([wanted(email.to), wanted(email.cc), wanted(email.replyTo)]);
    expect(parsed.attachments).toHaveLength(email.attachments.length);
    if (!("paragraphs" in email.words)) expect(parsed.subject?.replaceAll(/\s+/g, " ").trim()).toBe(email.words.subject.replaceAll(/\s+/g, " ").trim());
  });
});

/** The mailer writes the domain as people read it where it can. */
const unicode = (given: string): string => {
  const at = given.lastIndexOf("@");
  return `${given.slice(0, at)}@${new URL(`http://${given.slice(at + 1)}`).hostname}`;
};

it("an SMTP URL is refused without its password, or leads nowhere but to its host, by TLS wherever a password goes", { timeout }, async () => {
  const url = fc
    .tuple(fc.constantFrom("smtp:", "smtps:", "smtp:", "http:", "SMTP:", ""), fc.constantFrom("//", "//", "/", ""), fc.constantFrom("", "user:hunter2pass@", "user@", ":hunter2pass@", "a%zz:hunter2pass@", "%40:hunter2pass@"), fc.oneof(fc.constantFrom("mail.example.com", "localhost", "127.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.1.evil.example", "a.localhost", "localhost.", "exa%6dple.com", ""), word), fc.constantFrom("", ":25", ":465", ":587", ":0", ":99999"), fc.constantFrom("", "/", "/x", "?requireTLS=true", "?tls.rejectUnauthorized=false", "?tls.rejectUnauthorized=false&requireTLS=true", "?hunter2pass", "#x"))
    .map((parts) => parts.join(""));
  await fuzz(fc.oneof(url, word), 50, async (given) => {
    const { value: options, refusal } = await outcomeOf(() => smtpOptions(given), refusedAs("CONFIGURATION"));
    if (refusal !== undefined) {
      expect(refusal.message).not.toContain("hunter2pass");
      return;
    }
    const { host, port, auth, secure, requireTLS, tls, disableFileAccess, disableUrlAccess } = options;
    const local = host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
    expect(host).not.toBe("");
    expect(port >= 0 && port <= 65_535).toBe(true);
    if (auth !== undefined && !local) expect([secure === true || requireTLS === true, tls?.rejectUnauthorized]).toEqual([true, true]);
    expect([disableFileAccess, disableUrlAccess]).toEqual([true, true]);
  });
});
