// A mail that must not go out twice: onDoubt "ask". What is in doubt waits for people; what surely failed is tried again.

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { emailSend, emailSendHandler } from "../../../src/handlers/email-send.ts";
import type { TestOutbox } from "../../support/outbox.ts";
import { testOutbox } from "../../support/outbox.ts";
import type { Refusals } from "../../support/smtp.ts";
import { startFaultySmtp, startSmtp } from "../../support/smtp.ts";

let db: TestOutbox;
beforeAll(async () => {
  db = await testOutbox();
});
afterAll(() => db.close());
beforeEach(() => db.empty());

const hello = { to: ["ada@example.com", "bob@example.com"], subject: "Hello", body: "Hello" };
const once = () => db.outbox.enqueueAlone(emailSend, { ...hello, onDoubt: "ask" });

/** One drain with what waits for its next attempt made due. */
async function attemptAt(smtpUrl: string): Promise<void> {
  await db.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");
  await db.outbox.drain({ handlers: [emailSendHandler({ smtpUrl, from: "no-reply@acme.example", mailDir: "unused", documentsDir: "unused" })] });
}
/** The same at a server that works, but for what it refuses; gives back to whom each mail went. */
async function attempt(refusals: Refusals = {}): Promise<string[][]> {
  await using smtp = await startSmtp(refusals);
  await attemptAt(smtp.url);
  return smtp.mails.map(({ to }) => to);
}
async function inDoubt(id: string): Promise<void> {
  await using smtp = await startFaultySmtp("after the final dot");
  await attemptAt(smtp.url);
  expect((await db.job(id)).last_error).toMatch(/^UncertainDelivery: .*uncertain whether the mail was delivered/);
}

test("what was handed over and not answered is not sent again: the job becomes a dead letter", async () => {
  const { id } = await once();
  await inDoubt(id);
  expect(await attempt()).toEqual([]);
  expect(await db.job(id)).toMatchObject({ status: "error", attempts: 2 });
  expect((await db.job(id)).last_error).toMatch(/^InDoubtError/);
});

test.each([
  [true, []],
  [false, [["ada@example.com", "bob@example.com"]]],
])("when somebody has found out whether it was delivered (%s), the redriven job knows what to do", async (happened, sent) => {
  const { id } = await once();
  await inDoubt(id);
  await attempt();
  const [effect] = await db.outbox.effects(id);
  expect(await db.outbox.resolveEffect(id, effect!.name, { happened })).toBe(true);
  await db.pool.query("update outbox set status = 'pending'");
  expect(await attempt()).toEqual(sent);
  expect(await db.job(id)).toMatchObject({ status: "done" });
});

test("what surely was not delivered is tried again", async () => {
  const { id } = await once();
  await using smtp = await startFaultySmtp("at DATA");
  await attemptAt(smtp.url);
  expect(await db.job(id)).toMatchObject({ status: "pending", attempts: 1 });
  expect(await attempt()).toEqual([["ada@example.com", "bob@example.com"]]);
  expect(await db.job(id)).toMatchObject({ status: "done", attempts: 2 });
});

test("recipients who were deferred are tried again, and the others get nothing twice", async () => {
  const { id } = await once();
  expect(await attempt({ recipients: { "bob@example.com": { code: 450, text: "4.2.0 Greylisted" } } })).toEqual([["ada@example.com"]]);
  expect(await attempt()).toEqual([["bob@example.com"]]);
  expect(await db.job(id)).toMatchObject({ status: "done", result: { accepted: ["ada@example.com", "bob@example.com"] } });
});

test("without it a mail in doubt is sent again", async () => {
  const { id } = await db.outbox.enqueueAlone(emailSend, hello);
  await inDoubt(id);
  expect(await attempt()).toEqual([["ada@example.com", "bob@example.com"]]);
});
