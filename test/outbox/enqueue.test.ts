import { PrismaPg } from "@prisma/adapter-pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { PrismaClient } from "../../generated/prisma/client.ts";
import { defineJob, handle, NotInTransactionError, PayloadError } from "../../src/index.ts";
import { cli } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox, work } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let test: TestOutbox;
let prisma: PrismaClient;
beforeAll(async () => {
  test = await testOutbox();
  prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: test.url }) });
});
afterAll(async () => {
  await prisma.$disconnect();
  await test.close();
});
beforeEach(() => test.empty());

/** The business row. */
const message = { userId: "ada", type: "greeting", message: "hello" };

describe("inside a Prisma transaction", () => {
  it("a business row and its jobs are committed together", async () => {
    const { id } = await prisma.$transaction(async (tx) => {
      const { id } = await tx.notification.create({ data: message });
      await test.outbox.enqueue(tx, work, { n: 1 });
      await test.outbox.enqueueMany(tx, [work.job({ n: 2 }), work.job({ n: 3 })]);
      return { id };
    });
    expect(await prisma.notification.findUnique({ where: { id } })).not.toBeNull();
    expect((await test.jobs()).map((job) => job.payload)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  it("a rolled-back transaction leaves neither row nor job", async () => {
    const before = await prisma.notification.count();
    await expect(
      prisma.$transaction(async (tx) => {
        await tx.notification.create({ data: message });
        await test.outbox.enqueue(tx, work, {});
        throw new Error("the card was declined");
      }),
    ).rejects.toThrow("the card was declined");
    expect(await prisma.notification.count()).toBe(before);
    expect(await test.jobs()).toEqual([]);
  });

  it("a transaction that times out leaves neither row nor job", async () => {
    const before = await prisma.notification.count();
    await expect(
      prisma.$transaction(
        async (tx) => {
          await tx.notification.create({ data: message });
          await test.outbox.enqueue(tx, work, {});
          await tx.$queryRaw`select pg_sleep(1)::text`;
        },
        { timeout: 300 },
      ),
    ).rejects.toThrow();
    expect(await prisma.notification.count()).toBe(before);
    expect(await test.jobs()).toEqual([]);
  });

  it("an inner savepoint that is rolled back takes its job with it and leaves the outer one", async () => {
    await prisma.$transaction(async (tx) => {
      await test.outbox.enqueue(tx, work, { n: 1 });
      await tx.$executeRaw`savepoint inner_one`;
      await test.outbox.enqueue(tx, work, { n: 2 });
      await tx.$executeRaw`rollback to savepoint inner_one`;
    });
    expect((await test.jobs()).map((job) => job.payload)).toEqual([{ n: 1 }]);
  });

  it("a forgotten await is still written when the transaction commits", async () => {
    await prisma.$transaction(async (tx) => {
      void test.outbox.enqueue(tx, work, { n: 1 });
      await tx.notification.create({ data: message });
    });
    expect(await test.jobs()).toHaveLength(1);
  });

  it("a refused payload does not poison the caller's transaction", async () => {
    await prisma.$transaction(async (tx) => {
      await expect(test.outbox.enqueue(tx, work, { n: Number.NaN })).rejects.toThrow(PayloadError);
      await test.outbox.enqueue(tx, work, { n: 1 });
    });
    expect(await test.jobs()).toHaveLength(1);
  });
});

describe("what is no transaction", () => {
  it("the Prisma client itself is refused and nothing is stored", async () => {
    // @ts-expect-error -- refused at compile time as well
    await expect(test.outbox.enqueue(prisma, work, {})).rejects.toThrow(NotInTransactionError);
    expect(await test.jobs()).toEqual([]);
  });

  it("a pg pool, and a pg client outside BEGIN, are refused and nothing is stored", async () => {
    // @ts-expect-error -- refused at compile time as well
    await expect(test.outbox.enqueue(test.pool, work, {})).rejects.toThrow("got a pg pool");
    const client = await test.pool.connect();
    try {
      await expect(test.outbox.enqueue(client, work, {})).rejects.toThrow("outside BEGIN");
    } finally {
      client.release();
    }
    expect(await test.jobs()).toEqual([]);
  });

  it.each([[undefined], [null], ["tx"], [{}], [() => undefined]])("%s is refused with a sentence that says what to pass", async (tx) => {
    await expect(test.outbox.enqueue(tx as never, work, {})).rejects.toThrow(/^Expected the transaction that the business write is in, got .*prisma\.\$transaction/);
  });

  it("enqueueAlone stores a job that belongs to no business write", async () => {
    const { id, deduplicated } = await test.outbox.enqueueAlone(work, { n: 1 });
    expect(deduplicated).toBe(false);
    expect((await test.job(id)).status).toBe("pending");
  });
});

it("inside a pg transaction a job is stored by COMMIT and gone by ROLLBACK", async () => {
  const client = await test.pool.connect();
  try {
    await client.query("begin");
    await test.outbox.enqueue(client, work, { n: 1 });
    await client.query("rollback");
    await client.query("begin");
    await test.outbox.enqueue(client, work, { n: 2 });
    await client.query("commit");
  } finally {
    client.release();
  }
  expect((await test.jobs()).map((job) => job.payload)).toEqual([{ n: 2 }]);
});

it("insert into outbox (type, payload) is a complete enqueue, and so is prisma.outbox.create", async () => {
  await test.pool.query(`insert into outbox (type, payload) values ('work', '{"n":1}')`);
  await prisma.outbox.create({ data: { type: "work", payload: { n: 2 } } });
  const [first, second] = await test.jobs();
  expect(first).toMatchObject({ status: "pending", attempts: 0, max_attempts: 3, priority: 0, payload: { n: 1 } });
  expect(second).toMatchObject({ status: "pending", attempts: 0, max_attempts: 3, priority: 0, payload: { n: 2 } });
});

it("2,000 jobs are stored by one call, in their order, with ids that sort by it", async () => {
  const enqueued = await prisma.$transaction((tx) => test.outbox.enqueueMany(tx, Array.from({ length: 2000 }, (_, n) => work.job({ n }))));
  const ids = enqueued.map(({ id }) => id);
  expect([...ids].sort()).toEqual(ids);
  const { rows } = await test.pool.query<{ n: number }>("select (payload->>'n')::int as n from outbox order by id");
  expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: 2000 }, (_, n) => n));
});

it("no jobs at all is no error and no statement", async () => {
  expect(await test.outbox.enqueueMany({ query: () => Promise.reject(new Error("nothing should be sent")) }, [])).toEqual([]);
});

describe("what is awkward to carry", () => {
  /** What the table has, and what a handler is given. */
  async function carried(payload: unknown): Promise<{ stored: unknown; handled: unknown }> {
    const { id } = await prisma.$transaction((tx) => test.outbox.enqueue(tx, awkward, payload));
    return { stored: (await test.job(id)).payload, handled: await handled() };
  }
  async function handled(): Promise<unknown> {
    const seen: unknown[] = [];
    expect(await test.outbox.drain({ handlers: [handle(awkward, (payload) => Promise.resolve(void seen.push(payload)))] })).toMatchObject({ done: 1 });
    return seen[0];
  }
  const awkward = defineJob({ type: "awkward" });

  it.each([
    ["a NUL", { a: [{ "b c": "x\u0000y" }] }, 'payload.a[0]["b c"] contains a NUL'],
    ["a NUL in a key", { a: { "\u0000": 1 } }, 'the key "\\u0000" of payload.a contains a NUL'],
    ["the first half of a surrogate pair", { a: "x\ud800" }, "payload.a contains half of a surrogate pair"],
    ["the second half of one in a key", { "\udc00": 1 }, "of payload contains half of a surrogate pair"],
  ])("%s is refused with its path, and the caller's transaction goes on", async (_, payload, sentence) => {
    await prisma.$transaction(async (tx) => {
      await expect(test.outbox.enqueue(tx, awkward, payload)).rejects.toThrow(sentence);
      await expect(test.outbox.enqueueMany(tx, [awkward.job({ n: 1 }), awkward.job(payload)])).rejects.toThrow(sentence);
      await test.outbox.enqueue(tx, awkward, { n: 2 });
    });
    expect((await test.jobs()).map((job) => job.payload)).toEqual([{ n: 2 }]);
  });

  it("1 MB of two-byte, three-byte and four-byte characters arrives whole; one byte more is refused, and nothing is stored", async () => {
    for (const character of ["ü", "€", "😀"]) {
      await test.empty();
      const room = 1024 * 1024 - 2; // and two quotes
      const fits = character.repeat(Math.floor(room / Buffer.byteLength(character))) + "x".repeat(room % Buffer.byteLength(character));
      await expect(test.outbox.enqueueAlone(awkward, `${fits}x`)).rejects.toThrow("at most 1048576 bytes as JSON, got 1048577");
      expect(await test.jobs()).toEqual([]);
      const { stored, handled } = await carried(fits);
      expect(stored === fits && handled === fits, character).toBe(true);
    }
  });

  it("properties called __proto__ and constructor arrive as properties, and change no other object", async () => {
    const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"inner":{"__proto__":1}}';
    const { stored, handled } = await carried(JSON.parse(text));
    for (const payload of [stored, handled]) {
      expect(Object.keys(payload as object).sort()).toEqual(["__proto__", "constructor", "inner"]);
      expect(Object.entries((payload as { inner: object }).inner)).toEqual([["__proto__", 1]]);
    }
    expect("polluted" in {}).toBe(false);
  });

  it("10,000 levels are refused by the enqueue; inserted by plain SQL they are the trouble of that job alone", async () => {
    let deep: unknown = 1;
    for (let level = 0; level < 10_000; level += 1) deep = { deep };
    await expect(test.outbox.enqueueAlone(awkward, deep)).rejects.toThrow("is nested deeper than 200 levels");
    expect(await test.jobs()).toEqual([]);
    await test.pool.query("insert into outbox (type, payload) values ('awkward', (repeat('[', 10000) || repeat(']', 10000))::jsonb), ('awkward', '{}')");
    for (const command of [["db", "outbox", "findMany", '{"take":5}'], ["db", "outbox", "findMany", '{"take":5}', "--json"]]) {
      const { code, stdout } = await cli(command, { DATABASE_URL: test.url });
      expect([code, stdout]).toEqual([0, expect.stringContaining("[deeper than 200 levels]")]);
    }
    const depths: number[] = [];
    const depthOf = (value: unknown) => {
      let depth = 0;
      for (let at = value; Array.isArray(at); at = (at as unknown[])[0]) depth += 1;
      return depth;
    };
    expect(await test.outbox.drain({ handlers: [handle(awkward, (payload) => Promise.resolve(void depths.push(depthOf(payload))))] })).toMatchObject({ done: 2 });
    expect(depths.sort()).toEqual([0, 10_000]);
  });

  it("numbers are carried as JavaScript has them; what plain SQL stored more exactly stays so in the table", async () => {
    const numbers = [2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e21, Number.MAX_VALUE, Number.MIN_VALUE, 0.1 + 0.2, -0];
    const { stored, handled: given } = await carried(numbers);
    expect(stored).toEqual(numbers.map((number) => number + 0)); // JSON has no -0
    expect(given).toEqual(stored);
    await test.empty();
    await test.pool.query(`insert into outbox (type, payload) values ('awkward', '{"number":9007199254740993,"text":"9007199254740993"}')`);
    expect(await handled()).toEqual({ number: 2 ** 53, text: "9007199254740993" });
    expect((await test.pool.query("select payload->>'number' as number from outbox")).rows).toEqual([{ number: "9007199254740993" }]);
  });
});

describe("options", () => {
  it("priority, runAt, delay, maxAttempts and owner are stored as given", async () => {
    const runAt = new Date("2031-05-06T07:08:09.123Z");
    const { id } = await test.outbox.enqueueAlone(work, {}, { priority: "high", runAt, maxAttempts: 7, owner: "user-1" });
    expect(await test.job(id)).toMatchObject({ priority: 10, run_at: runAt, max_attempts: 7, owner: "user-1" });
    const { id: later } = await test.outbox.enqueueAlone(work, {}, { priority: -3, delay: "2h" });
    const { rows } = await test.pool.query<{ seconds: number; priority: number }>("select extract(epoch from run_at - clock_timestamp())::float8 as seconds, priority from outbox where id = $1", [later]);
    expect(rows[0]!.priority).toBe(-3);
    expect(rows[0]!.seconds).toBeGreaterThan(7190);
    expect(rows[0]!.seconds).toBeLessThanOrEqual(7200);
  });

  it("the contract's number of attempts holds unless the job has its own", async () => {
    const stubborn = defineJob({ type: "stubborn", retry: { maxAttempts: 8 } });
    const listed = defineJob({ type: "listed", retry: { delays: ["5s", "30s", "5m"] } });
    expect((await test.job((await test.outbox.enqueueAlone(stubborn, {})).id)).max_attempts).toBe(8);
    expect((await test.job((await test.outbox.enqueueAlone(listed, {})).id)).max_attempts).toBe(4);
  });

  it.each([
    [{ priority: 40_000 }, "priority"],
    [{ priority: 1.5 }, "priority"],
    [{ priority: "urgent" }, "priority"],
    [{ runAt: new Date(Number.NaN) }, "runAt"],
    [{ runAt: "tomorrow" }, "runAt"],
    [{ runAt: new Date(), delay: "1s" }, "runAt or delay"],
    [{ delay: "soon" }, "delay"],
    [{ delay: -5 }, "delay"],
    [{ maxAttempts: 0 }, "maxAttempts"],
    [{ maxAttempts: 2.5 }, "maxAttempts"],
    [{ owner: "" }, "owner"],
    [{ owner: "a\u0000b" }, "owner"],
    [{ dedupeKey: "x".repeat(501) }, "dedupeKey"],
    [{ dedupeKey: "x", dedupeFor: "a while" }, "dedupeFor"],
  ])("%j is refused by name and nothing is stored", async (options, name) => {
    await expect(test.outbox.enqueueAlone(work, {}, options as never)).rejects.toThrow(name);
    expect(await test.jobs()).toEqual([]);
  });
});

describe("a schema", () => {
  const remind = defineJob({ type: "remind", schema: z.strictObject({ invoiceId: z.string(), locale: z.string().default("en") }) });

  it("what is stored is the input that was checked, without the schema's defaults", async () => {
    const { id } = await test.outbox.enqueueAlone(remind, { invoiceId: "i1" });
    expect((await test.job(id)).payload).toEqual({ invoiceId: "i1" });
  });

  it("a payload that does not fit is refused with its path, and wrong types do not compile", async () => {
    // @ts-expect-error -- invoiceId is a string
    await expect(test.outbox.enqueueAlone(remind, { invoiceId: 5 })).rejects.toThrow(/Job "remind" was refused: payload\.invoiceId does not fit/);
    // @ts-expect-error -- invoiceId is missing
    await expect(test.outbox.enqueueAlone(remind, {})).rejects.toThrow("payload.invoiceId");
    await expect(test.outbox.enqueueAlone(remind, { invoiceId: "i1", extra: 1 } as { invoiceId: string })).rejects.toThrow("extra");
    expect(await test.jobs()).toEqual([]);
  });
});

describe("a dedupe key", () => {
  it("while it is held, a second job is not stored and the first one's id comes back", async () => {
    const first = await test.outbox.enqueueAlone(work, { n: 1 }, { dedupeKey: "k" });
    const second = await test.outbox.enqueueAlone(work, { n: 2 }, { dedupeKey: "k" });
    expect(second).toEqual({ id: first.id, deduplicated: true });
    expect(await test.jobs()).toHaveLength(1);
  });

  it("of another type is another key", async () => {
    await test.outbox.enqueueAlone(work, {}, { dedupeKey: "k" });
    expect((await test.outbox.enqueueAlone(defineJob({ type: "other" }), {}, { dedupeKey: "k" })).deduplicated).toBe(false);
  });

  it("two equal keys in one call store one job", async () => {
    const [first, second] = await test.outbox.enqueueMany(await begun(), [work.job({ n: 1 }, { dedupeKey: "k" }), work.job({ n: 2 }, { dedupeKey: "k" })]);
    expect(second).toEqual({ id: first!.id, deduplicated: true });
  });

  it("is free again after its time, or after its job has finished, as asked", async () => {
    const hourly = await test.outbox.enqueueAlone(work, {}, { dedupeKey: "hourly", dedupeFor: "1h" });
    const untilDone = await test.outbox.enqueueAlone(work, {}, { dedupeKey: "until-done", dedupeFor: "until-done" });
    const forever = await test.outbox.enqueueAlone(work, {}, { dedupeKey: "forever", dedupeFor: "forever" });
    await test.pool.query("update outbox set status = 'done'");
    await test.pool.query("update outbox set dedupe_until = dedupe_until - interval '61 minutes' where dedupe_key = 'hourly'");
    expect((await test.outbox.enqueueAlone(work, {}, { dedupeKey: "hourly" })).id).not.toBe(hourly.id);
    expect((await test.outbox.enqueueAlone(work, {}, { dedupeKey: "until-done" })).id).not.toBe(untilDone.id);
    expect(await test.outbox.enqueueAlone(work, {}, { dedupeKey: "forever" })).toEqual({ id: forever.id, deduplicated: true });
  });

  it("that is to be held until its job has finished is held while it waits and while it runs", async () => {
    const first = await test.outbox.enqueueAlone(work, {}, { dedupeKey: "k", dedupeFor: "until-done" });
    for (const status of ["pending", "processing"]) {
      await test.pool.query("update outbox set status = $1", [status]);
      expect(await test.outbox.enqueueAlone(work, {}, { dedupeKey: "k", dedupeFor: "until-done" })).toEqual({ id: first.id, deduplicated: true });
    }
  });

  it("50 transactions at once with one key store one job, and 49 are given its id", async () => {
    const results = await Promise.all(Array.from({ length: 50 }, () => test.outbox.enqueueAlone(work, {}, { dedupeKey: "race" })));
    expect(new Set(results.map(({ id }) => id)).size).toBe(1);
    expect(results.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(await test.jobs()).toHaveLength(1);
  });

  it("is free when the transaction that first asked for it rolls back while others wait for it", async () => {
    const client = await test.pool.connect();
    try {
      await client.query("begin");
      await test.outbox.enqueue(client, work, { n: 1 }, { dedupeKey: "k" });
      const waiting = test.outbox.enqueueAlone(work, { n: 2 }, { dedupeKey: "k" });
      await until("the other waits for its lock", async () => (await test.pool.query("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).rowCount === 1);
      await client.query("rollback");
      expect((await waiting).deduplicated).toBe(false);
    } finally {
      client.release();
    }
    expect((await test.jobs()).map((job) => job.payload)).toEqual([{ n: 2 }]);
  });
});

/** A transaction that commits each statement: good enough for one call. */
async function begun(): Promise<{ query: (text: string, values: unknown[]) => Promise<{ rows: Record<string, unknown>[] }> }> {
  return Promise.resolve({ query: async (text: string, values: unknown[]) => ({ rows: (await test.pool.query<Record<string, unknown>>(text, values)).rows }) });
}

describe("from JavaScript, where no compiler looks", () => {
  const refused = (call: () => Promise<unknown>, message: string) => expect(call()).rejects.toThrow(message);

  it("an option that is misspelt is refused by its name", () =>
    refused(() => test.outbox.enqueueAlone(work, {}, { runat: new Date() } as never), 'among priority, runAt, delay, maxAttempts, owner, orderingKey, dedupeKey, dedupeFor, tags, got "runat"'));

  it.each([["nothing", [undefined]], ["null", [null]], ["a contract", [work]], ["a text", ["work"]], ["a hole", Array(1)]])("a list of jobs with %s in it is refused, and nothing is stored", async (_, odd) => {
    const jobs = [work.job({})].concat(odd as never[]);
    await refused(async () => test.outbox.enqueueMany(await begun(), jobs), "Expected jobs as contract.job(payload, options) makes them, got ");
    expect(await test.jobs()).toEqual([]);
  });

  it("a setting of a type that is misspelt is refused by its name", () => {
    expect(() => defineJob({ type: "x", maxAttempts: 5 } as never)).toThrow('got "maxAttempts"');
  });

  it.each(["priority", "runAt", "delay", "maxAttempts", "owner", "orderingKey", "dedupeKey", "dedupeFor", "tags"])("null is no value of %s: nobody knows whether it means the default", async (name) => {
    await refused(() => test.outbox.enqueueAlone(work, {}, { dedupeKey: "k", [name]: null }), "got null");
    expect(await test.jobs()).toEqual([]);
  });

  it("the name of a type in place of its contract is refused", () => refused(() => test.outbox.enqueueAlone("work" as never, {}), 'Expected the contract of the job, as defineJob makes it, got "work".'));

  it("a schema that throws refuses the payload", () => {
    const throwing = defineJob({ type: "x", schema: { "~standard": { version: 1, vendor: "own", validate: () => { throw new Error("no such country"); } } } }); // prettier-ignore
    return refused(() => test.outbox.enqueueAlone(throwing, {}), "payload could not be checked, because its schema threw: no such country");
  });
});
