// What the templates of email.send promise: each says its piece in text and HTML, and no value can become markup.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FinalError } from "../../../src/outbox/errors.ts";
import { emailSend, emailSendHandler } from "../../../src/handlers/email-send.ts";
import type { EmailPayload } from "../../../src/handlers/email-send.ts";
import { runHandler } from "../../support/run-handler.ts";
import type { ReceivedMail, TestSmtp } from "../../support/smtp.ts";
import { startSmtp } from "../../support/smtp.ts";

let smtp: TestSmtp;
beforeAll(async () => {
  smtp = await startSmtp();
});
afterAll(async () => {
  await smtp[Symbol.asyncDispose]();
});

const payment = { name: "Ada", amount: 1_234_550, currency: "EUR", reference: "P-7" };

/** Sends the payload, of any shape; gives back the mail that arrived. */
async function sent(payload: unknown): Promise<ReceivedMail["parsed"]> {
  const handler = emailSendHandler({ smtpUrl: smtp.url, from: "no-reply@acme.example", mailDir: "unused", documentsDir: "unused" });
  await runHandler(handler, payload);
  return smtp.mails.at(-1)!.parsed;
}

/** The sentence that the payload was refused with. */
async function refusal(payload: unknown): Promise<string> {
  const before = smtp.mails.length;
  const error: unknown = await sent(payload).catch((reason: unknown) => reason);
  expect(smtp.mails).toHaveLength(before);
  expect(error).toBeInstanceOf(FinalError);
  return (error as FinalError).message; // just checked
}

describe("each template", () => {
  const cases: [EmailPayload, string, string[]][] = [
    [{ to: "ada@example.com", template: "payment.confirmed", data: payment }, "Payment received: P-7", ["Hello Ada,", "€12,345.50"]],
    [
      { to: "ada@example.com", template: "payment.released", data: { ...payment, currency: "jpy", arrivesOn: "2026-03-01" } },
      "Payment released: P-7",
      ["¥1,234,550", "1 March 2026"], // the yen has no smaller unit
    ],
    [{ to: "ada@example.com", template: "payment.refunded", data: { ...payment, reason: "Sold out" } }, "Payment refunded: P-7", ["€12,345.50", "Sold out"]],
    [
      { to: "ada@example.com", template: "dispute.opened", data: { ...payment, reason: "Not as described", respondBy: "2026-12-31", link: "https://acme.example/d/7" } },
      "Dispute opened: P-7",
      ["Not as described", "31 December 2026", "https://acme.example/d/7"],
    ],
  ];
  test.each(cases)("%j", async (payload, subject, phrases) => {
    const mail = await sent(payload);
    expect(mail.subject).toBe(subject);
    for (const phrase of phrases) {
      expect(mail.text).toContain(phrase);
      expect(mail.html).toContain(phrase);
    }
  });
});

test("values are escaped in the HTML and plain in the text", async () => {
  const mail = await sent({
    to: "ada@example.com",
    template: "dispute.opened",
    data: { ...payment, name: "<script>alert(1)</script>", reference: '"><img src=x>', reason: "a & b's <b>", link: 'https://acme.example/?a=1&b="onclick=x' },
  });
  expect(mail.html).not.toMatch(/<script|<img|<b>|"onclick/);
  expect(mail.html).toContain("Hello &lt;script&gt;alert(1)&lt;/script&gt;,");
  expect(mail.html).toContain("a &amp; b&#39;s &lt;b&gt;");
  expect(mail.text).toContain("Hello <script>alert(1)</script>,");
});

describe("is refused", () => {
  test.each(["payment.lost", "__proto__", "constructor", "../payment.confirmed", ""])("the template %j, with the names of those that exist", async (template) => {
    const message = await refusal({ to: "ada@example.com", template, data: payment });
    expect(message).toContain("payload.template does not fit: expected one of the templates payment.confirmed, payment.released, payment.refunded, dispute.opened, got ");
  });

  test.each([
    ["payload.data ", undefined],
    ["payload.data.amount ", { ...payment, amount: "12.50" }],
    ["payload.data.amount ", { ...payment, amount: -1 }],
    ["payload.data.currency ", { ...payment, currency: "EUX" }],
    ["payload.data.name ", { ...payment, name: undefined }],
    ["payload.data.link ", { ...payment, link: "javascript:alert(1)" }],
    ['"amout"', { ...payment, amout: 1 }],
  ])("data that does not fit, by its path: %s", async (path, data) => {
    expect(await refusal({ to: "ada@example.com", template: "payment.confirmed", data })).toContain(path);
  });

  test("a mail with a template and words of its own, and one with neither", async () => {
    const to = "ada@example.com";
    expect(await refusal({ to, template: "payment.confirmed", data: payment, subject: "Mine" })).toContain("payload.subject does not fit: expected no subject beside a template");
    expect(await refusal({ to, body: "Hello" })).toContain("payload.subject does not fit: expected a subject, or a template");
    expect(await refusal({ to, subject: "Hello" })).toContain("payload.body does not fit: expected the text of the mail, or a template");
    expect(await refusal({ to, subject: "Hello", body: "Hello", data: payment })).toContain("payload.data does not fit: expected no data without a template");
  });
});

test("TypeScript knows each template's data, and which fields go together", () => {
  emailSend.job({ to: "ada@example.com", template: "payment.confirmed", data: payment });
  emailSend.job({ to: ["ada@example.com", { name: "Bob", address: "bob@example.com" }], subject: "Hello", body: "Hello" });
  // @ts-expect-error a dispute has a reason
  emailSend.job({ to: "ada@example.com", template: "dispute.opened", data: payment });
  // @ts-expect-error there is no such template
  emailSend.job({ to: "ada@example.com", template: "payment.lost", data: payment });
  // @ts-expect-error a mail has a text
  emailSend.job({ to: "ada@example.com", subject: "Hello" });
  // @ts-expect-error the sender is a setting
  emailSend.job({ to: "ada@example.com", subject: "Hello", body: "Hello", from: "eve@example.com" });
});
