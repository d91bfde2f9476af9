// What email.send promises, against real SMTP servers. What it refuses is in email/refusals.test.ts.

import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Handler } from "../../src/outbox/define.ts";
import { FinalError, RetryAfter } from "../../src/outbox/errors.ts";
import { jsonSchemaOf } from "../../src/outbox/json-schema.ts";
import { emailSend, emailSendHandler } from "../../src/handlers/email-send.ts";
import type { EmailPayload } from "../../src/handlers/email-send.ts";
import { smtpOptions } from "../../src/handlers/email/smtp-options.ts";
import { sendBySmtp } from "../../src/handlers/email/smtp.ts";
import type { LogLine } from "../support/run-handler.ts";
import { runHandler } from "../support/run-handler.ts";
import type { Refusals } from "../support/smtp.ts";
import { startFaultySmtp, startSmtp } from "../support/smtp.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "email-send-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const hello = { to: "ada@example.com", subject: "Hello", body: "How are you?" } satisfies EmailPayload;

function handlerFor(smtpUrl: string | null): Handler {
  return emailSendHandler({ smtpUrl, from: "Acme <no-reply@acme.example>", mailDir: join(folder, "mail"), documentsDir: folder });
}

/** The error that sending ends with; the test fails when it ends well. */
async function failureOf(sending: Promise<unknown>): Promise<Error> {
  const error: unknown = await sending.then(
    () => new Error("it was sent"),
    (reason: unknown) => reason,
  );
  return error as Error; // the assertions below say which
}

/** Sends `hello` to a server that refuses it. */
async function refusedWith(refusals: Refusals): Promise<Error> {
  await using smtp = await startSmtp(refusals);
  const error = await failureOf(runHandler(handlerFor(smtp.url), hello));
  expect(smtp.mails).toEqual([]);
  return error;
}

describe("a mail", () => {
  test("arrives with its headers, its text and its HTML", async () => {
    await using smtp = await startSmtp();
    const result = await runHandler(handlerFor(smtp.url), {
      to: ["Ada <ada@example.com>", { name: 'Bob "the builder", Jr.', address: "bob@bücher.example" }],
      cc: "carol@example.com",
      bcc: ["dan@example.com"],
      replyTo: "help@acme.example",
      subject: "Grüße, and a very long subject that does not fit on a single line of a header, whatever is tried",
      body: "Hello\nthere €",
      html: "<p>Hello <b>there</b></p>",
    });
    const [mail] = smtp.mails;
    expect(mail).toMatchObject({
      from: "no-reply@acme.example",
      // The test's server shows the domain decoded; what went over the wire is in the result below.
      to: ["ada@example.com", "bob@bücher.example", "carol@example.com", "dan@example.com"],
    });
    expect(mail?.parsed).toMatchObject({
      from: { name: "Acme", address: "no-reply@acme.example" },
      to: [
        { name: "Ada", address: "ada@example.com" },
        { name: 'Bob "the builder", Jr.', address: "bob@xn--bcher-kva.example" },
      ],
      cc: [{ name: "", address: "carol@example.com" }],
      replyTo: [{ name: "", address: "help@acme.example" }],
      subject: "Grüße, and a very long subject that does not fit on a single line of a header, whatever is tried",
      text: "Hello\nthere €\n",
    });
    expect(mail?.parsed.html?.trim()).toBe("<p>Hello <b>there</b></p>");
    expect(Math.abs(Date.parse(mail?.parsed.date ?? "") - Date.now())).toBeLessThan(60_000);
    // Nobody who gets the mail learns who else got it in secret.
    expect(mail?.raw).not.toContain("dan@example.com");
    expect(result).toEqual({
      messageId: "<0198f2c4-6f00-7000-8000-000000000001@acme.example>",
      accepted: ["ada@example.com", "bob@xn--bcher-kva.example", "carol@example.com", "dan@example.com"],
      rejected: [],
      rejections: [],
      response: "250 OK: queued as 4711",
    });
  });

  test("brings its attachments byte for byte, inline ones and documents", async () => {
    await using smtp = await startSmtp();
    const bytes = randomBytes(50_000);
    const pdf = randomBytes(70_000);
    await writeFile(join(folder, "proposal-7.pdf"), pdf);
    await runHandler(handlerFor(smtp.url), {
      ...hello,
      attachments: [
        { filename: "daten für Ada.bin", content: bytes.toString("base64") },
        { filename: "rows.csv", contentType: "text/csv; charset=utf-8", content: Buffer.from("a,b\n1,2\n").toString("base64") },
        { document: "proposal-7.pdf" },
        { document: "proposal-7.pdf", filename: "Proposal.pdf" },
      ],
    });
    const attachments = smtp.mails[0]?.parsed.attachments ?? [];
    expect(attachments.map(({ filename, mimeType }) => [filename, mimeType])).toEqual([
      ["daten für Ada.bin", "application/octet-stream"],
      ["rows.csv", "text/csv"],
      ["proposal-7.pdf", "application/pdf"],
      ["Proposal.pdf", "application/pdf"],
    ]);
    const contents = attachments.map(({ content }) => Buffer.from(content as ArrayBuffer)); // postal-mime's default form
    expect(contents.map((content) => content.toString("base64"))).toEqual([
      bytes.toString("base64"),
      Buffer.from("a,b\n1,2\n").toString("base64"),
      pdf.toString("base64"),
      pdf.toString("base64"),
    ]);
  });

  test("shows pictures inside its HTML, inline ones and documents", async () => {
    await using smtp = await startSmtp();
    await writeFile(join(folder, "chart.png"), "the chart");
    await runHandler(handlerFor(smtp.url), {
      ...hello,
      html: '<p><img src="cid:logo@acme"> <img src="cid:chart"></p>',
      attachments: [
        { filename: "logo.png", content: Buffer.from("the logo").toString("base64"), cid: "logo@acme" },
        { document: "chart.png", cid: "chart" },
        { filename: "terms.txt", content: "aGVsbG8=" },
      ],
    });
    const mail = smtp.mails[0];
    expect(mail?.parsed.attachments.map(({ filename, contentId, disposition, related }) => ({ filename, contentId, disposition, related: related ?? false }))).toEqual(
      expect.arrayContaining([
        { filename: "logo.png", contentId: "<logo@acme>", disposition: "inline", related: true },
        { filename: "chart.png", contentId: "<chart>", disposition: "inline", related: true },
        { filename: "terms.txt", contentId: undefined, disposition: "attachment", related: false },
      ]),
    );
    expect(mail?.raw).toMatch(/Content-Type: multipart\/related/);
    expect(mail?.parsed.html).toContain('<img src="cid:logo@acme">');
  });

  test("has the same Message-ID on every attempt, and another one than any other job", async () => {
    await using smtp = await startSmtp();
    const jobId = "0198f2c4-6f00-7000-8000-00000000abcd";
    await runHandler(handlerFor(smtp.url), hello, { jobId, attempt: 1 });
    await runHandler(handlerFor(smtp.url), hello, { jobId, attempt: 2 });
    await runHandler(handlerFor(smtp.url), hello, { jobId: "not a uuid <at all>" });
    const ids = smtp.mails.map(({ parsed }) => parsed.messageId);
    expect(ids.slice(0, 2)).toEqual([`<${jobId}@acme.example>`, `<${jobId}@acme.example>`]);
    expect(ids[2]).toMatch(/^<[0-9a-f]{64}@acme\.example>$/);
  });

  test("text that looks like the end of the mail, or like headers, stays text", async () => {
    await using smtp = await startSmtp();
    const body = "one\r\n.\r\nMAIL FROM:<evil@example.com>\r\n\r\nBcc: evil@example.com\r\n..two";
    await runHandler(handlerFor(smtp.url), { ...hello, body });
    expect(smtp.mails).toHaveLength(1);
    expect(smtp.mails[0]?.to).toEqual(["ada@example.com"]);
    expect(smtp.mails[0]?.parsed.text?.trimEnd()).toBe(body.replaceAll("\r\n", "\n"));
  });

  test("logs in when the URL has a user and a password, over the TLS that the server offers", async () => {
    const logins: unknown[] = [];
    await using smtp = await startSmtp({}, {
      authOptional: false,
      onAuth({ username, password }, session, callback) {
        logins.push({ username, password, secure: session.secure });
        callback(null, { user: username });
      },
    });
    await runHandler(handlerFor(`smtp://ada:p%40ss%2Fword@127.0.0.1:${smtp.port}`), hello);
    expect(logins).toEqual([{ username: "ada", password: "p@ss/word", secure: true }]);
    expect(smtp.mails).toHaveLength(1);
  });
});

describe("a server that refuses", () => {
  test("a recipient with a 5xx reply makes the job a dead letter at once", async () => {
    const error = await refusedWith({ recipients: { "ada@example.com": { code: 550, text: "5.1.1 No such user here" } } });
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/refused the mail for good \(RCPT TO\): 550 5\.1\.1 No such user here/);
  });

  test("a recipient with a 4xx reply is tried again", async () => {
    const error = await refusedWith({ recipients: { "ada@example.com": { code: 450, text: "4.2.0 Greylisted, come back later" } } });
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/did not take the mail now \(RCPT TO\): 450 4\.2\.0 Greylisted, come back later/);
  });

  test("every recipient with a 4xx reply, or one of them so and the others for good, is tried again", async () => {
    for (const code of [450, 550]) {
      await using smtp = await startSmtp({ recipients: { "bob@example.com": { code, text: "5.1.1 Bob" }, "ada@example.com": { code: 452, text: "4.5.3 Too many" }, "zoe@example.com": { code, text: "5.1.1 Zoe" } } });
      const error = await failureOf(runHandler(handlerFor(smtp.url), { ...hello, to: ["bob@example.com", "ada@example.com", "zoe@example.com"] }));
      expect(error).not.toBeInstanceOf(FinalError);
      expect(error.message).toMatch(/did not take the mail now \(RCPT TO\): 45[02]/);
      expect(smtp.mails).toEqual([]);
    }
  });

  test("the mail itself with a 4xx reply is tried again, and with a 5xx reply is not", async () => {
    const busy = await refusedWith({ data: { code: 451, text: "4.3.0 Try again later" } });
    expect(busy).not.toBeInstanceOf(FinalError);
    expect(busy.message).toContain("451 4.3.0 Try again later");
    // The server has answered, so there is nothing uncertain about it.
    expect(busy.message).not.toContain("uncertain");
    const spam = await refusedWith({ data: { code: 554, text: "5.7.1 Message rejected as spam" } });
    expect(spam).toBeInstanceOf(FinalError);
    expect(spam.message).toContain("554 5.7.1 Message rejected as spam");
  });

  test("every connection, with a 5xx greeting, says nothing about this mail: it is tried again", async () => {
    await using smtp = await startSmtp({}, { onConnect: (_session, callback) => callback(Object.assign(new Error("No SMTP service here"), { responseCode: 554 })) });
    const error = await failureOf(runHandler(handlerFor(smtp.url), hello));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/did not take the mail now .*554 .*No SMTP service here/);
  });

  test("one of two recipients: the job is done, and its result says who did not get the mail and why", async () => {
    await using smtp = await startSmtp({ recipients: { "gone@example.com": { code: 550, text: "5.1.1 Gone" } } });
    const log: LogLine[] = [];
    const result = await runHandler(handlerFor(smtp.url), { ...hello, to: ["ada@example.com", "gone@example.com"] }, { log });
    expect(result).toMatchObject({ accepted: ["ada@example.com"], rejected: ["gone@example.com"], rejections: ["550 5.1.1 Gone"] });
    expect(smtp.mails.map(({ to }) => to)).toEqual([["ada@example.com"]]);
    expect(log).toEqual([{ level: "warn", message: "Some recipients were refused by the SMTP server.", fields: { accepted: 1, rejected: 1 } }]);
  });

  test("our password: tried again, not before ten minutes, and the password is nowhere in the error", async () => {
    await using smtp = await startSmtp({}, { onAuth: (_auth, _session, callback) => callback(null, { message: "5.7.8 Bad credentials", responseCode: 535 }) });
    const error = await failureOf(runHandler(handlerFor(`smtp://ada:canary-7351@127.0.0.1:${smtp.port}`), hello));
    expect(error).toBeInstanceOf(RetryAfter);
    expect(error).toMatchObject({ delayMs: 600_000 });
    expect(error.message).toMatch(/did not let us in, check the SMTP settings: 535 .*Bad credentials/);
    expect(JSON.stringify([error.message, error.stack, error.cause])).not.toContain("canary-7351");
  });
});

describe("a server that goes away", () => {
  test("before anything: tried again, and the mail was not delivered", async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => listener.once("listening", resolve));
    const { port } = listener.address() as AddressInfo; // it listens on TCP, so it is no path
    await new Promise((resolve) => listener.close(resolve));
    const error = await failureOf(runHandler(handlerFor(`smtp://127.0.0.1:${port}`), hello));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/ECONNREFUSED.*The mail was not delivered\.$/);
  });

  test("before the mail was handed over: tried again, and the mail was not delivered", async () => {
    await using atData = await startFaultySmtp("at DATA");
    const early = await failureOf(runHandler(handlerFor(atData.url), hello));
    expect(early).not.toBeInstanceOf(FinalError);
    expect(early.message).toMatch(/The mail was not delivered\.$/);

    await using midData = await startFaultySmtp("after the first bytes");
    await writeFile(join(folder, "large.bin"), Buffer.alloc(12 * 1024 * 1024, 7));
    const late = await failureOf(runHandler(handlerFor(midData.url), { ...hello, attachments: [{ document: "large.bin" }] }));
    expect(late).not.toBeInstanceOf(FinalError);
    expect(late.message).toMatch(/The mail was not delivered\.$/);
  });

  test("after the mail was handed over: tried again, and the error says that delivery is uncertain", async () => {
    await using smtp = await startFaultySmtp("after the final dot");
    const error = await failureOf(runHandler(handlerFor(smtp.url), hello));
    expect(error).not.toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/It is uncertain whether the mail was delivered/);
  });
});

describe("a server that never answers", () => {
  test("the signal ends the attempt and the connection", async () => {
    await using smtp = await startFaultySmtp("silent");
    const controller = new AbortController();
    const sending = failureOf(runHandler(handlerFor(smtp.url), hello, { signal: controller.signal }));
    await expect.poll(smtp.connections).toBe(1);
    controller.abort(new Error("the worker is stopping"));
    expect((await sending).message).toMatch(/the attempt was ended \(the worker is stopping\)\. The mail was not delivered\.$/);
    await expect.poll(smtp.connections, { timeout: 3_000 }).toBe(0);
  });

  test("the time limit ends it without a signal", async () => {
    await using smtp = await startFaultySmtp("silent");
    const options = { ...smtpOptions(smtp.url), greetingTimeout: 100 };
    const message = { messageId: "<a@acme.example>", from: "no-reply@acme.example", to: "ada@example.com", subject: "Hello", text: "Hello" };
    const error = await failureOf(sendBySmtp(options, message, new AbortController().signal));
    expect(error.message).toMatch(/Greeting never received\. The mail was not delivered\.$/);
  });

  test("an attempt that was ended before it began sends nothing", async () => {
    await using smtp = await startSmtp();
    await failureOf(runHandler(handlerFor(smtp.url), hello, { signal: AbortSignal.abort(new Error("too late")) }));
    expect(smtp.mails).toEqual([]);
  });
});

describe("without an SMTP server", () => {
  test("the mail is written as an .eml file; a second attempt replaces it", async () => {
    const handler = handlerFor(null);
    const first = await runHandler(handler, { ...hello, bcc: "dan@example.com", body: "First", attachments: [{ filename: "a.txt", content: "aGVsbG8=" }] });
    const file = join(folder, "mail", "0198f2c4-6f00-7000-8000-000000000001.eml");
    expect(first).toEqual({ messageId: "<0198f2c4-6f00-7000-8000-000000000001@acme.example>", file });
    const content = await readFile(file);
    const mail = await PostalMime.parse(content);
    expect(mail).toMatchObject({ subject: "Hello", to: [{ address: "ada@example.com" }], messageId: "<0198f2c4-6f00-7000-8000-000000000001@acme.example>" });
    expect(mail.attachments).toHaveLength(1);
    expect(content.toString()).not.toContain("dan@example.com");
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    await runHandler(handler, { ...hello, body: "Second" }, { attempt: 2 });
    expect(await readdir(join(folder, "mail"))).toEqual(["0198f2c4-6f00-7000-8000-000000000001.eml"]);
    expect((await PostalMime.parse(await readFile(file))).text?.trimEnd()).toBe("Second");
  });

  test("a job whose id is no file name cannot leave the folder", async () => {
    const mailDir = join(folder, "elsewhere", "mail");
    const handler = emailSendHandler({ smtpUrl: null, from: "no-reply@acme.example", mailDir, documentsDir: folder });
    await runHandler(handler, hello, { jobId: "../../escaped" });
    const files = await readdir(mailDir);
    expect(files).toHaveLength(1);
    expect(files[0]).toMatch(/^[0-9a-f]{64}\.eml$/);
  });
});

test("the contract says as JSON Schema what a mail is, for forms and for HTTP", () => {
  const schema = jsonSchemaOf(emailSend);
  expect(schema).toMatchObject({
    required: ["to"],
    additionalProperties: false,
    properties: {
      to: { anyOf: [{ type: "string" }, { type: "object", required: ["address"] }, { type: "array" }] },
      template: { enum: ["payment.confirmed", "payment.released", "payment.refunded", "dispute.opened"] },
      attachments: { maxItems: 50 },
    },
  });
});

test("one attempt may take two minutes", () => {
  expect(emailSend.timeoutMs).toBe(120_000);
});
