// What an SMTP URL means: TLS wherever a password goes over a network, and no password in any message.

import { describe, expect, test } from "vitest";
import { OutboxError } from "../../../src/outbox/errors.ts";
import { emailSendHandler } from "../../../src/handlers/email-send.ts";
import { smtpOptions } from "../../../src/handlers/email/smtp-options.ts";
import { runHandler } from "../../support/run-handler.ts";
import { startSmtp } from "../../support/smtp.ts";

describe("a password", () => {
  test.each(["smtp://u:p@mail.example.com", "smtp://u:p@10.0.0.5:25", "smtp://u:p@127.0.0.1.example.com", "smtp://u:p@127.1", "smtp://u:p@[::2]", "smtp://u:p@mail.localhost", "smtp://u:p@localhost.example.com"])("goes to %s over verified TLS or not at all", (url) => {
    expect(smtpOptions(url)).toMatchObject({ secure: false, requireTLS: true, tls: { rejectUnauthorized: true }, auth: { user: "u", pass: "p" } });
  });

  test("goes over verified TLS from the first byte with smtps, and on port 465", () => {
    expect(smtpOptions("smtps://u:p@mail.example.com")).toMatchObject({ host: "mail.example.com", port: 465, secure: true, tls: { rejectUnauthorized: true } });
    expect(smtpOptions("smtp://u:p@mail.example.com:465")).toMatchObject({ port: 465, secure: true });
  });

  test.each(["smtp://u:p@localhost", "smtp://u:p@127.0.0.1", "smtp://u:p@127.8.0.1:25", "smtp://u:p@[::1]", "smtp://u:p@LOCALHOST"])("may go in clear text to this machine: %s", (url) => {
    expect(smtpOptions(url)).toMatchObject({ requireTLS: false });
  });

  test.each(["localhost", "LOCALHOST"])("goes to %s by its address: nodemailer asks DNS for the name, and whoever answers could name another machine", (name) => {
    expect(smtpOptions(`smtp://u:p@${name}:25`)).toMatchObject({ host: "127.0.0.1", requireTLS: false });
  });

  test("is never sent where the certificate is not checked", () => {
    expect(() => smtpOptions("smtp://u:p@mail.example.com?tls.rejectUnauthorized=false")).toThrow(/NODE_EXTRA_CA_CERTS/);
    expect(smtpOptions("smtp://mail.example.com?tls.rejectUnauthorized=false")).toMatchObject({ tls: { rejectUnauthorized: false } });
  });

  test("is not sent to a server that offers no TLS, and neither is the mail", async () => {
    // The rule for other machines, tried on this one: requireTLS is what smtpOptions sets for them.
    await using smtp = await startSmtp({}, { disabledCommands: ["STARTTLS"], allowInsecureAuth: true, onAuth: (_auth, _session, callback) => callback(null, { user: "u" }) });
    const handler = emailSendHandler({ smtpUrl: `smtp://u:p@127.0.0.1:${smtp.port}?requireTLS=true`, from: "a@acme.example", mailDir: "unused", documentsDir: "unused" });
    await expect(runHandler(handler, { to: "ada@example.com", subject: "Hello", body: "Hello" })).rejects.toThrow(/did not let us in, check the SMTP settings/);
    expect(smtp.mails).toEqual([]);
  });
});

describe("a URL that cannot be used is refused at the start, without a word of its password", () => {
  test.each([
    "mail.example.com",
    "http://u:canary@mail.example.com",
    "smtp://",
    "smtp://u:canary@",
    "smtp://u:canary@mail.example.com/path",
    "smtp://u:canary@mail.example.com:99999",
    "smtp://u:%canary@mail.example.com",
    "smtp://u:can#ary@mail.example.com",
    "smtp://u:12?canary=x@mail.example.com",
    "smtp://u:canary@mail.example.com?requireTLS=false",
    "smtp://u:canary@mail.example.com?ignoreTLS=true",
    "smtp://u:canary@mail.example.com?getSocket=x",
  ])("%s", (smtpUrl) => {
    const start = (): unknown => emailSendHandler({ smtpUrl, from: "a@acme.example", mailDir: "unused", documentsDir: "unused" });
    expect(start).toThrow(OutboxError);
    expect(start).toThrow(/^Expected the SMTP URL in the form smtp:\/\/user:password@host:587 or smtps:\/\/user:password@host:465, got (?!.*(canary|ary))/);
  });

  test("and so is a sender that is no address", () => {
    expect(() => emailSendHandler({ smtpUrl: null, from: "Acme", mailDir: "unused", documentsDir: "unused" })).toThrow(/The sender of mails cannot be used: expected one address/);
  });
});

test("every wait on the server has an end", () => {
  expect(smtpOptions("smtp://mail.example.com")).toMatchObject({
    dnsTimeout: 10_000,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 60_000,
    socketCloseTimeout: 1_000,
  });
});
