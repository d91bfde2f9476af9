// notification.send promises one row in the inbox, and one job for each further channel, all or nothing.
// What those jobs do is in notification-deliver.test.ts.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Channel } from "../../src/handlers/notification-send.ts";
import { notificationSend, notificationSendHandler } from "../../src/handlers/notification-send.ts";
import { notificationDeliver, notificationDeliverHandler } from "../../src/handlers/notification-deliver.ts";
import { OutboxError } from "../../src/outbox/errors.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { LocalServer } from "./local-server.ts";
import { serve, started, stopAll } from "./local-server.ts";

let db: TestOutbox;
beforeAll(async () => {
  db = await testOutbox();
});
afterAll(() => db.close());
beforeEach(() => db.empty());
afterEach(stopAll);

const paid = { userId: "ada", type: "order.paid", message: "Order 1042 was paid." };

const handlers = (channels: Record<string, Channel> = {}) => [notificationSendHandler({ channels }), notificationDeliverHandler({ channels })];
const drain = (channels?: Record<string, Channel>) => db.outbox.drain({ handlers: handlers(channels) });
const inbox = async () => (await db.pool.query<object>("select user_id, type, message, job_id, read_at from notification")).rows;
const deliveries = () => db.jobs("type = 'notification.deliver'");
/** What waits for its next attempt is due now. */
const makeDue = () => db.pool.query("update outbox set run_at = clock_timestamp() where status = 'pending'");

const slack = ({ origin }: LocalServer): Channel => ({ kind: "slack", url: `${origin}/services/T0/B0/secret`, allowPrivate: true });
const webhook = ({ origin }: LocalServer): Channel => ({ kind: "webhook", url: `${origin}/hook`, allowPrivate: true });
const answering = (...statuses: number[]) => started(serve((_received, response) => response.writeHead(statuses.shift() ?? 200).end("ok")));

describe("the inbox", () => {
  test("gets one row, and without channels no further job is made", async () => {
    const { id } = await db.outbox.enqueueAlone(notificationSend, paid);
    expect(await drain()).toMatchObject({ done: 1, retried: 0, dead: 0 });
    expect(await inbox()).toEqual([{ user_id: "ada", type: "order.paid", message: "Order 1042 was paid.", job_id: id, read_at: null }]);
    expect(await deliveries()).toEqual([]);
    expect((await db.job(id)).result).toEqual({ deliveries: [] });
  });
});

describe("channels", () => {
  test("each get a job of their own, of the same owner and priority, whose ids are in the result", async () => {
    const [one, two] = [await answering(), await answering()];
    const { id } = await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops", "crm"] }, { owner: "bob", priority: "high" });
    expect(await drain({ ops: slack(one), crm: webhook(two), unused: webhook(two) })).toMatchObject({ done: 3, retried: 0, dead: 0 });
    expect(await inbox()).toHaveLength(1);
    const jobs = await deliveries();
    expect(jobs.map(({ payload, owner, priority, status }) => ({ payload, owner, priority, status }))).toEqual(
      expect.arrayContaining([
        { payload: { channel: "ops", ...paid }, owner: "bob", priority: 10, status: "done" },
        { payload: { channel: "crm", ...paid }, owner: "bob", priority: 10, status: "done" },
      ]),
    );
    expect(jobs).toHaveLength(2);
    const jobOf = (channel: string) => jobs.find(({ payload }) => (payload as { channel: string }).channel === channel)?.id; // as asserted
    expect((await db.job(id)).result).toEqual({ deliveries: [{ channel: "ops", job: jobOf("ops") }, { channel: "crm", job: jobOf("crm") }] });
    expect(one.received).toHaveLength(1);
    expect(two.received).toHaveLength(1);
  });

  test("that fail are tried again alone: the inbox keeps its one row, and the others are not told twice", async () => {
    const [one, two] = [await answering(500, 503, 200), await answering()];
    const channels = { ops: slack(one), crm: webhook(two) };
    await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops", "crm"] });
    expect(await drain(channels)).toMatchObject({ done: 2, retried: 1 });
    await makeDue();
    expect(await drain(channels)).toMatchObject({ done: 0, retried: 1 });
    await makeDue();
    expect(await drain(channels)).toMatchObject({ done: 1, retried: 0 });
    expect(await inbox()).toHaveLength(1);
    expect(one.received).toHaveLength(3);
    expect(two.received).toHaveLength(1);
  });

  test("and the row are one commit: when a delivery cannot be stored, there is no row, and the next attempt makes both once", async () => {
    const server = await answering();
    const channels = { ops: slack(server), crm: webhook(server) };
    await db.pool.query(`create function refuse_crm() returns trigger language plpgsql as $$
      begin if new.type = 'notification.deliver' and new.payload->>'channel' = 'crm' then raise exception 'no room'; end if; return new; end $$`);
    await db.pool.query("create trigger refuse_crm before insert on outbox for each row execute function refuse_crm()");
    try {
      await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops", "crm"] });
      expect(await drain(channels)).toMatchObject({ done: 0, retried: 1 });
      expect(await inbox()).toEqual([]);
      expect(await deliveries()).toEqual([]);
    } finally {
      await db.pool.query("drop function refuse_crm cascade");
    }
    await makeDue();
    expect(await drain(channels)).toMatchObject({ done: 3, retried: 0 });
    expect(await inbox()).toHaveLength(1);
    expect(server.received).toHaveLength(2);
  });

  test("a worker that lost the job on the way leaves no row and no delivery", async () => {
    const server = await answering();
    await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops"] });
    // Somebody takes the job away while the row is being written.
    await db.pool.query(`create function take_away() returns trigger language plpgsql as $$
      begin update outbox set locked_by = gen_random_uuid(), lease_token = 1 where id = new.job_id; return new; end $$`);
    await db.pool.query("create trigger take_away before insert on notification for each row execute function take_away()");
    try {
      await drain({ ops: slack(server) });
    } finally {
      await db.pool.query("drop function take_away cascade");
    }
    expect(await inbox()).toEqual([]);
    expect(await deliveries()).toEqual([]);
    expect(server.connections()).toBe(0);
  });

  test("that are not configured make a dead letter at once, without a row; redriven with the right configuration it goes through", async () => {
    const server = await answering();
    const { id } = await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops", "oops"] });
    expect(await drain({ ops: slack(server), crm: webhook(server) })).toMatchObject({ done: 0, dead: 1 });
    expect((await db.job(id)).last_error).toContain('Expected a channel of the configuration, got "oops". Known are: "ops", "crm".');
    expect(await inbox()).toEqual([]);
    await db.pool.query("update outbox set status = 'pending', attempts = 0 where id = $1", [id]);
    expect(await drain({ ops: slack(server), oops: webhook(server) })).toMatchObject({ done: 3, dead: 0 });
    expect(await inbox()).toHaveLength(1);
  });

  test.each(["__proto__", "constructor", "toString"])("called %j are as unknown as any other", async (name) => {
    const { id } = await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: [name] });
    await drain();
    expect(await db.job(id)).toMatchObject({ status: "error", last_error: expect.stringContaining(`got "${name}". Known are: none.`) });
  });

  test("of WhatsApp without a phone number, or with a text too long for it, make a dead letter and no row", async () => {
    const channels: Record<string, Channel> = { wa: { kind: "whatsapp", phoneNumberId: "1", token: "t" } };
    const without = await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["wa"] });
    const long = await db.outbox.enqueueAlone(notificationSend, { ...paid, message: "x".repeat(4097), channels: ["wa"], whatsapp: { to: "+436601234567" } });
    expect(await drain(channels)).toMatchObject({ done: 0, dead: 2 });
    expect((await db.job(without.id)).last_error).toContain('Expected whatsapp.to beside the channel "wa", which needs the recipient\'s phone number, got none.');
    expect((await db.job(long.id)).last_error).toContain('Expected a message of at most 4096 characters for the channel "wa", got one of 4097.');
    expect(await inbox()).toEqual([]);
  });

  test("that were taken out of the configuration since make a dead letter of the delivery, and the row stays", async () => {
    const server = await answering();
    await db.outbox.enqueueAlone(notificationSend, { ...paid, channels: ["ops"] });
    await db.outbox.drain({ handlers: [notificationSendHandler({ channels: { ops: slack(server) } })] });
    expect(await drain({ crm: webhook(server) })).toMatchObject({ dead: 1 });
    expect((await deliveries())[0]).toMatchObject({ status: "error", last_error: expect.stringContaining('got "ops". Known are: "crm".') });
    expect(await inbox()).toHaveLength(1);
  });
});

describe("a payload is refused at enqueue, by its path", () => {
  test.each([
    ["payload.channels ", { ...paid, channels: ["ops", "ops"] }],
    ["payload.channels[1] ", { ...paid, channels: ["ops", "two words"] }],
    ["payload.channels ", { ...paid, channels: "ops" }],
    ["payload.channels ", { ...paid, channels: Array.from({ length: 21 }, (_, index) => `c${index}`) }],
    ["payload.whatsapp.to ", { ...paid, whatsapp: { to: "0660 1234567" } }],
    ["payload.whatsapp.to ", { ...paid, whatsapp: { to: "+43660123456\n" } }],
    ["payload.whatsapp.to ", { ...paid, whatsapp: {} }],
    ["payload.whatsapp.template.name ", { ...paid, whatsapp: { to: "+436601234567", template: { name: "../x", language: "en" } } }],
    ["payload.whatsapp.template.language ", { ...paid, whatsapp: { to: "+436601234567", template: { name: "x", language: "English" } } }],
    ["payload.whatsapp ", { ...paid, whatsapp: { to: "+436601234567", url: "http://127.0.0.1/" } }],
    ["payload ", { ...paid, url: "http://127.0.0.1/" }],
    ["payload.userId ", { ...paid, userId: "" }],
    ["payload.message ", { ...paid, message: "x".repeat(10_001) }],
  ])("%s", async (path, payload) => {
    await expect(db.outbox.enqueueAlone(notificationSend, payload as never)).rejects.toThrow(`Job "notification.send" was refused: ${path}`); // as from JavaScript
    expect(await db.jobs()).toEqual([]);
  });

  test("and so does it of a delivery that somebody enqueues himself", async () => {
    await expect(db.outbox.enqueueAlone(notificationDeliver, { channel: "a b", ...paid })).rejects.toThrow("payload.channel ");
  });
});

describe("a configuration is refused when the handler is made, without its secrets", () => {
  test.each<[string, Record<string, unknown>]>([
    ['channels["two words"]: expected a channel\'s name', { "two words": { kind: "slack", url: "https://hooks.slack.com/services/canary7" } }],
    ['channels["a"].kind', { a: { kind: "sms", url: "https://canary7.example.com" } }],
    ['channels["a"].url', { a: { kind: "slack" } }],
    ['channels["a"].url: Expected an absolute URL', { a: { kind: "slack", url: "canary7" } }],
    ['channels["a"].url: expected https://', { a: { kind: "slack", url: "http://hooks.slack.com/services/canary7" } }],
    ['channels["a"].url: Expected a target with a public address', { a: { kind: "slack", url: "https://127.0.0.1/services/canary7" } }],
    ['channels["a"].url: Expected a URL that begins with https:// or http://', { a: { kind: "webhook", url: "file:///canary7" } }],
    ['channels["a"].url: Expected a URL without a user name', { a: { kind: "webhook", url: "https://u:canary7@example.com/" } }],
    ['channels["a"].headers', { a: { kind: "webhook", url: "https://example.com/", headers: { Authorization: "canary7\r\nX: y" } } }],
    ['channels["a"].headers', { a: { kind: "webhook", url: "https://example.com/", headers: { "Bad Name": "canary7" } } }],
    ['channels["a"].headers.Host', { a: { kind: "webhook", url: "https://example.com/", headers: { Host: "canary7" } } }],
    ['channels["a"].token', { a: { kind: "whatsapp", phoneNumberId: "1", token: "canary7\n" } }],
    ['channels["a"].token', { a: { kind: "whatsapp", phoneNumberId: "1" } }],
    ['channels["a"].phoneNumberId', { a: { kind: "whatsapp", phoneNumberId: "1/../canary7", token: "t" } }],
    ['channels["a"].baseUrl: expected https://', { a: { kind: "whatsapp", phoneNumberId: "1", token: "canary7", baseUrl: "http://graph.example.com" } }],
    ['channels["a"].baseUrl: expected a URL without ? and #', { a: { kind: "whatsapp", phoneNumberId: "1", token: "t", baseUrl: "https://graph.example.com/?x=canary7" } }],
  ])("%s", (message, channels) => {
    const [field = "", problem = "to be usable"] = message.split(": ");
    for (const make of [notificationSendHandler, notificationDeliverHandler]) {
      const start = () => make({ channels: channels as Record<string, Channel> }); // as from JavaScript
      expect(start).toThrow(OutboxError);
      expect(start).toThrow(`Expected ${field}`);
      expect(start).toThrow(problem);
      expect(start).not.toThrow("canary7");
    }
  });
});

test("TypeScript knows the payload", () => {
  notificationSend.job({ ...paid, channels: ["ops"], whatsapp: { to: "+436601234567", template: { name: "paid", language: "en", values: ["1042"] } } });
  // @ts-expect-error somebody's inbox
  notificationSend.job({ type: "order.paid", message: "m" });
  // @ts-expect-error names, not settings
  notificationSend.job({ ...paid, channels: [{ kind: "slack", url: "https://hooks.slack.com/x" }] });
  // @ts-expect-error whom WhatsApp is to send to
  notificationSend.job({ ...paid, whatsapp: { template: { name: "paid", language: "en" } } });
});
