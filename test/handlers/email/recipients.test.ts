// A mail to several people of whom the server takes some and defers others: nobody gets it twice, nobody is forgotten.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { emailSend, emailSendHandler } from "../../../src/handlers/email-send.ts";
import type { EmailPayload } from "../../../src/handlers/email-send.ts";
import type { TestOutbox } from "../../support/outbox.ts";
import { testOutbox } from "../../support/outbox.ts";
import type { Refusals } from "../../support/smtp.ts";
import { startSmtp } from "../../support/smtp.ts";

let db: TestOutbox;
beforeAll(async () => {
  db = await testOutbox();
});
afterAll(() => db.close());
beforeEach(() => db.empty());

const everybody = { to: ["ada@example.com", "Bob <bob@bücher.example>"], cc: "carol@example.com", bcc: "dan@example.com", subject: "Hello", body: "Hello" } satisfies EmailPayload;
const later = { code: 450, text: "4.2.0 Greylisted" };
const never = { code: 550, text: "5.1.1 No such user" };

/** One drain with what waits for its next attempt made due; gives back to whom each mail went. */
async function attempt(recipients: NonNullable<Refusals["recipients"]>): Promise<string[][]> {
  await using smtp = await startSmtp({ recipients });
  await db.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  await db.outbox.drain({ handlers: [emailSendHandler({ smtpUrl: smtp.url, from: "no-reply@acme.example", mailDir: "unused", documentsDir: "unused" })] });
  for (const { parsed } of smtp.mails) {
    // Whoever gets it later sees the same mail.
    expect(parsed.to?.map(({ address }) => address)).toEqual(["ada@example.com", "bob@xn--bcher-kva.example"]);
    expect(parsed.cc?.map(({ address }) => address)).toEqual(["carol@example.com"]);
    expect(parsed.messageId).toMatch(/^<[0-9a-f-]{36}@acme\.example>$/);
  }
  return smtp.mails.map(({ to }) => to);
}

test("those who were deferred get it in a later attempt, alone; the result names everybody once", async () => {
  const { id } = await db.outbox.enqueueAlone(emailSend, everybody);
  expect(await attempt({ "bob@bücher.example": later, "carol@example.com": never, "dan@example.com": later })).toEqual([["ada@example.com"]]);
  const job = await db.job(id);
  expect(job).toMatchObject({ status: "pending", attempts: 1, result: null });
  expect(job.last_error).toBe("Error: The SMTP server took the mail for 1 of 4 recipients, and did not take it now for 2: 450 4.2.0 Greylisted. Only those are tried again.");

  expect(await attempt({ "dan@example.com": later })).toEqual([["bob@bücher.example"]]);
  expect(await attempt({})).toEqual([["dan@example.com"]]);
  expect(await db.job(id)).toMatchObject({
    status: "done",
    attempts: 3,
    result: {
      accepted: ["ada@example.com", "bob@xn--bcher-kva.example", "dan@example.com"],
      rejected: ["carol@example.com"],
      rejections: ["550 5.1.1 No such user"],
      response: "250 OK: queued as 4711",
    },
  });
});

test("those who are deferred to the end leave a dead letter; redriven it goes to them alone", async () => {
  const { id } = await db.outbox.enqueueAlone(emailSend, everybody, { maxAttempts: 2 });
  const busy = { "dan@example.com": later };
  expect(await attempt(busy)).toHaveLength(1);
  expect(await attempt(busy)).toEqual([]);
  expect((await db.job(id)).status).toBe("error");
  await db.pool.query("update outbox set status = 'pending', attempts = 0 where id = $1", [id]);
  expect(await attempt({})).toEqual([["dan@example.com"]]);
  expect((await db.job(id)).status).toBe("done");
});

test("one who is refused for good after the others have it leaves a dead letter that says so", async () => {
  const { id } = await db.outbox.enqueueAlone(emailSend, everybody);
  await attempt({ "dan@example.com": later });
  expect(await attempt({ "dan@example.com": never })).toEqual([]);
  expect(await db.job(id)).toMatchObject({ status: "error", last_error: expect.stringContaining("refused the mail for good (RCPT TO): 550 5.1.1 No such user") });
});
