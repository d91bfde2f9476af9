// Which failures count as the same, on messages and stacks as libraries really write them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failureOf } from "../../src/outbox/failure.ts";
import type { TestDatabase } from "../support/database.ts";
import { testDatabase } from "../support/database.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

const one = async (expression: string, ...values: (string | null)[]) => (await db.pool.query<{ value: string | null }>(`select ${expression} as value`, values)).rows[0]?.value ?? null;
const normalised = (message: string | null) => one("outbox_normalised($1)", message);
const topFrame = (stack: string | null) => one("outbox_top_frame($1)", stack);
const fingerprint = (errorClass: string | null, message: string | null, stack: string | null) => one("outbox_fingerprint($1, $2, $3)", errorClass, message, stack);

describe("two messages that differ in nothing but the job have the same fingerprint", () => {
  it.each([
    ["an address and port", "connect ECONNREFUSED 10.0.0.12:5432", "connect ECONNREFUSED 192.168.7.1:6432"],
    ["an IPv6 address", "connect ECONNREFUSED ::1:5432", "connect ECONNREFUSED 2606:4700::6810:84e5:443"],
    ["an IPv6 address in brackets", "connect ETIMEDOUT [fe80::1]:443", "connect ETIMEDOUT [2606:4700:4700::1111]:443"],
    ["how many addresses were tried", "Connect Timeout Error (attempted addresses: 1.2.3.4:443, 5.6.7.8:443, timeout: 10000ms)", "Connect Timeout Error (attempted addresses: 9.9.9.9:443, timeout: 5000ms)"],
    ["a UUID", "no invoice 0198c1f2-1111-7222-8333-444455556666", "no invoice 7f3a0c9e-2c1d-4b5e-9f00-0a1b2c3d4e5f"],
    ["a prefixed id", "No such customer: cus_NffrFeUfNV2Hib", "No such customer: cus_8xYq"],
    ["a nanoid", "upload V1StGXR8_Z5jdHi6B-myT is gone", "upload 4f90d13a42-Uakgb_J5m9g is gone"],
    ["a hash", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 is bad", "commit 9fceb02 is bad"],
    ["a number", "order 4711 has 3 items, 1,234.50 EUR", "order 9 has 12 items, 0.99 EUR"],
    ["an instant", "expired at 2026-11-22T09:30:00.000Z", "expired at 2025-01-02T23:59:59.999Z"],
    ["a mail address", "550 5.1.1 <ada@example.com>: Recipient address rejected", "550 5.1.1 <bob.o-brien+x@mail.example.org>: Recipient address rejected"],
    ["a value in quotes", 'invalid input syntax for type integer: "abc"', 'invalid input syntax for type integer: "x \\" y"'],
    ["a value in single quotes", "ENOENT: no such file or directory, open '/data/a.pdf'", "ENOENT: no such file or directory, open 'C:\\data\\b c.pdf'"],
    ["the query of a URL", "GET https://api.example.com/items?page=1&token=abc failed", "GET https://api.example.com/items?page=alpha#top failed"],
    ["quotes that were cut off", 'got 500: {"error":"order of Ada', 'got 500: {"error":"order of Bob Smith, who'],
    ["lines after the first", "boom\nat row 1", "boom\nat row 2"],
    ["processes of a deadlock", "Process 12 waits for ShareLock on transaction 99; blocked by process 7.", "Process 4711 waits for ShareLock on transaction 1; blocked by process 80."],
  ])("%s", async (_, one, other) => {
    expect(await fingerprint("Error", one, null)).toBe(await fingerprint("Error", other, null));
  });
});

describe("two messages that say different things have different fingerprints", () => {
  it.each([
    ["a constraint", 'duplicate key value violates unique constraint "users_email_key"', 'duplicate key value violates unique constraint "orders_number_key"'],
    ["a column", 'column "vat" of relation "invoice" does not exist', 'column "tax" of relation "invoice" does not exist'],
    ["a host", "getaddrinfo ENOTFOUND hooks.example.com", "getaddrinfo ENOTFOUND api.example.org"],
    ["a path", "GET https://api.example.com/items?x=1 failed", "GET https://api.example.com/orders?x=1 failed"],
    ["the status of an answer", "Request failed with status code 404", "Request failed with status code 503"],
    ["the status of an answer, as we say it", "Expected a 2xx answer to POST https://a.example/x, got 500 with an empty body", "Expected a 2xx answer to POST https://a.example/x, got 429 with an empty body"],
    ["apostrophes", "can't open the user's file", "can't delete the user's file"],
    ["what Prisma says last", "\nInvalid `prisma.user.create()` invocation in\n/app/src/a.ts:12:34\n\n  11\n→ 12 x\nUnique constraint failed on the fields: (`email`)", "\nInvalid `prisma.user.create()` invocation in\n/app/src/a.ts:12:34\n\n  11\n→ 12 x\nForeign key constraint violated on the constraint: `user_team_fkey`"],
  ])("%s", async (_, one, other) => {
    expect(await fingerprint("Error", one, null)).not.toBe(await fingerprint("Error", other, null));
  });

  it("and so have two classes, and two places", async () => {
    const stack = (place: string) => `Error: boom\n    at ${place} (/app/src/${place}.ts:1:2)`;
    const prints = await Promise.all([fingerprint("Error", "boom", stack("pay")), fingerprint("TypeError", "boom", stack("pay")), fingerprint("Error", "boom", stack("refund")), fingerprint("Error", "boom", null)]);
    expect(new Set(prints).size).toBe(4);
    expect(prints[0]).toMatch(/^[\da-f]{12}$/);
  });
});

describe("the top frame", () => {
  const frames = (...lines: string[]) => ["Error: boom", ...lines.map((line) => `    at ${line}`)].join("\n");

  it.each([
    ["a method that was compiled to dist", frames("async run (/app/dist/handlers/invoice.remind.js:12:34)"), "run (invoice.remind)"],
    ["the same in src, on another machine", frames("Object.run (file:///home/ci/src/handlers/invoice.remind.ts:10:5)"), "run (invoice.remind)"],
    ["below Node's and libraries' frames", frames("node:internal/process/task_queues:95:5", "new Promise (<anonymous>)", "Foo.bar [as baz] (/app/node_modules/x/y.js:1:2)", "async Promise.all (index 3)", "Pay.send [as run] (/app/src/pay.ts:3:4)"), "Pay.send (pay)"],
    ["a constructor on Windows", frames("new Foo (C:\\app\\src\\x.ts:3:4)"), "Foo (x)"],
    ["a function without a name", frames("file:///app/src/x.ts:3:4"), "(x)"],
    ["one on Windows", frames("C:\\app\\src\\x.ts:3:4"), "(x)"],
    ["an import with a query", frames("run (file:///app/src/x.ts?t=123:3:4)"), "run (x)"],
    ["a chunk of a bundle", frames("run (file:///app/dist/pay-K3J2H1G0.js:3:4)"), "run (pay)"],
    ["a folder with a space and brackets", frames("Module.pay (/app (copy)/src/pay.ts:1:22)"), "pay (pay)"],
    ["only libraries", frames("x (/app/node_modules/x/y.js:1:2)"), null],
    ["no stack", "Error: boom", null],
    ["nothing", null, null],
  ])("%s", async (_, stack, expected) => {
    expect(await topFrame(stack)).toBe(expected);
  });

  it("is that of the function that threw, for a real error", async () => {
    function chargeTheCard(): never {
      throw new Error("declined");
    }
    const thrown = (() => {
      try {
        return chargeTheCard();
      } catch (error) {
        return failureOf(error);
      }
    })();
    expect(await topFrame(thrown.stack)).toBe("chargeTheCard (fingerprint.test)");
  });
});

it("nothing at all has a fingerprint too, and so has what is not ASCII", async () => {
  expect(await fingerprint(null, null, null)).toMatch(/^[\da-f]{12}$/);
  expect(await normalised(null)).toBeNull();
  expect(await normalised("Überweisung „42“ an 東京 fehlgeschlagen 🚀 7")).toBe("Überweisung „#“ an 東京 fehlgeschlagen 🚀 #");
});

it("the longest messages that are stored, of whatever characters, take a few milliseconds each", async () => {
  const long = (text: string) => text.repeat(8192 / text.length);
  for (const text of ["word ", "1", "1.", "\n ", "'\"", ":a", "a_", "(((", "at @", "\\", "    at x (node_modules)\n"]) {
    const startedAt = performance.now();
    await db.pool.query("select count(outbox_fingerprint('Error', $1 || n, $1 || n)) from generate_series(1, 50) as n", [long(text)]);
    expect((performance.now() - startedAt) / 50, JSON.stringify(text)).toBeLessThan(25);
  }
});
