// The app's test, here for node:test; vitest and jest will do as well. DATABASE_URL leads to a test database, migrated.
//   node --import tsx --test examples/invoices.test.ts

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { PrismaPg } from "@prisma/adapter-pg";
import { expectEnqueued, refuteEnqueued, runJob, runTwice, testOutbox } from "postcommit/testing";
import { PrismaClient } from "../generated/prisma/client.ts";
import handler, { invoiceRemind } from "./handlers/invoice.remind.ts";
import { createInvoice } from "./invoices.ts";

const connection = process.env.DATABASE_URL ?? "";
const outbox = testOutbox({ connection, handlers: `${import.meta.dirname}/handlers` });
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: connection }) });

let reminders = new Map<string, string | undefined>(); // what billing has sent, by idempotency key
const billing = createServer(({ url, headers }, answer) => {
  if (url?.includes("unknown") !== true) reminders.set(String(headers["idempotency-key"]), url);
  answer.writeHead(url?.includes("unknown") === true ? 404 : 200).end();
});

before(async () => {
  await new Promise<void>((listening) => billing.listen(0, "127.0.0.1", listening));
  process.env.BILLING_URL = `http://127.0.0.1:${(billing.address() as AddressInfo).port}`;
  await prisma.$executeRaw`create table if not exists app_invoice (id text primary key, customer text, reminders int default 0)`;
});
beforeEach(async () => {
  reminders = new Map();
  await outbox.clear();
});
after(async () => {
  billing.close();
  await Promise.all([outbox.close(), prisma.$disconnect()]);
});

test("an invoice is reminded of after two weeks, not before", async () => {
  const invoiceId = await createInvoice(prisma, outbox, { customer: "Ada", locale: "de" });
  await expectEnqueued(outbox, invoiceRemind, { payload: { invoiceId }, options: { delay: "14d" } });
  await outbox.advance("13d");
  assert.equal((await outbox.drainAll()).done, 0);
  await outbox.advance("1d");
  assert.equal((await outbox.drainAll()).done, 1);
  assert.deepEqual([...reminders.values()], [`/invoices/${invoiceId}/reminders?locale=de`]);
});

test("an invoice that is not created is not reminded of", async () => {
  await assert.rejects(createInvoice(prisma, outbox, { customer: "\0", locale: "de" })); // Postgres refuses the NUL
  await refuteEnqueued(outbox, invoiceRemind);
});

test("a reminder of an invoice that is gone is given up at once", async () => {
  assert.equal((await runJob(handler, { invoiceId: "unknown" })).outcome, "dead");
});

test("a worker that dies in the middle sends no second reminder", async () => {
  await runTwice(handler, { invoiceId: "i-1" }, { tx: outbox, effects: () => reminders });
});
