// What the program is told by outbox.config.ts and the environment: each value is taken or refused by a sentence that shows
// no secret, whatever kind of value a file without types has in its place.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alertRules } from "../../src/outbox/alert-rules.ts";
import { OutboxError } from "../../src/outbox/errors.ts";
import { redrivePolicies } from "../../src/outbox/redrive-policy.ts";
import { retentionMs } from "../../src/outbox/retention.ts";
import { alertsOf } from "../../src/service/alerts.ts";
import type { OutboxConfig } from "../../src/service/config.ts";
import { settingsTable } from "../../src/service/settings-table.ts";
import type { Setting } from "../../src/service/setting.ts";
import { expectSentence, fuzz, fuzzTimeoutMs, nearly, oddText, oddValue, outcomeOf, refusedAs, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;
const secret = "hunter2hunter2hunter2hunter2hunter2";
const settings = Object.entries(settingsTable) as [string, Setting<unknown>][];

/** Settings that are no secrets, and are shown as they are. */
const open = ["webhookAllowPrivate", "logLevel", "logFormat", "dataDir", "pdfFont", "smtp.from", "handlers", "schedules", "channels", "endpoints", "webhooks", "redrive", "alerts"];

/** Every setting, as `config:show` reads it, shown as `config:show` shows it. */
function readAll(variables: Readonly<Record<string, string>>, config: unknown): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const [name, setting] of settings) {
    const { value, show, problem } = setting.read({ variable: (each) => (Object.hasOwn(variables, each) && variables[each] !== "" ? { text: variables[each] ?? "", source: "environment" } : null), file: { name: "outbox.config.js", config: config as OutboxConfig } });
    const shown = show();
    expect(typeof shown).toBe("string");
    if (!open.includes(name)) expect(shown).not.toContain(secret);
    if (problem !== null) {
      expect([name, problem instanceof OutboxError && problem.code]).toEqual([name, "CONFIGURATION"]);
      expectSentence(problem.message);
      if (!open.includes(name)) expect(problem.message).not.toContain(secret);
    }
    values.set(name, value);
  }
  return values;
}

const url = fc.oneof(
  soupOf(["postgresql://", "smtp://", "https://", "user", ":pw@", "host", ":5432", "/db", "?pgbouncer=true", "%", "#", " "], 6),
  fc.constantFrom(`postgresql://user:${secret}@host:5432/db`, `postgresql://host/db?password=${secret}`, `smtps://user:${secret}@host`, `https://user:${secret}@host/db`, `//user:${secret}@host`),
);
const token = fc.constantFrom(secret, `ada:${secret}`, `ada:${secret} bob:${secret}x`, `:${secret}`, "short", `${secret} ${secret}1 ${secret}2`, `${secret}=`, `${secret}\u0000`, `ü${secret}`);
const text = fc.oneof(url, oddText, token, fc.constantFrom("true", "false", "TRUE", "1", "json", "info", "production", "."));

it("any environment is read, or refused by the variable that will not do, and no secret is shown", { timeout }, async () => {
  const variables = settings.flatMap(([, { variable }]) => (variable === null ? [] : [variable]));
  await fuzz(fc.dictionary(fc.constantFrom(...variables), text, { maxKeys: 5 }), 50, (given) => {
    const values = readAll(given, {});
    // "true" alone opens what is closed.
    expect(values.get("webhookAllowPrivate")).toBe(given.WEBHOOK_ALLOW_PRIVATE === "true");
    expect(values.get("production")).toBe(given.NODE_ENV === "production");
  });
});

it("any outbox.config.js is read, or refused by the entry that will not do; what is no boolean opens nothing", { timeout }, async () => {
  const good = fc.record(
    {
      connection: url, handlers: fc.constantFrom<unknown>([], "./handlers"), schedules: fc.constant([]), channels: fc.constant({ ops: { kind: "webhook", url: "https://example.com" } }), endpoints: fc.constant({}), webhooks: fc.constant({ ops: { url: "https://example.com", secrets: [secret] } }),
      webhookSecret: fc.constant(secret), webhookAllowPrivate: fc.oneof<fc.Arbitrary<unknown>[]>(fc.boolean(), fc.constantFrom("false", "true", 0, 1, "no")), payments: fc.record({ url, key: fc.constant(secret), allowPrivate: fc.oneof<fc.Arbitrary<unknown>[]>(fc.boolean(), fc.constantFrom("false", 1)) }), smtp: fc.record({ url, from: text }),
      dataDir: text, pdfFont: text, retention: fc.constant({ done: "7d" }), redrive: fc.constant({ work: { after: "1h" } }), alerts: fc.constant({ deadLetters: 1 }), heartbeatUrl: url, http: fc.record({ tokens: fc.record({ view: token, operate: fc.array(token), run: fc.record({ name: fc.constantFrom("ada", "ü"), token }) }) }), prisma: fc.constant(() => ({})),
    },
    { requiredKeys: [] },
  );
  await fuzz(nearly(good, oddValue), 50, (given) => {
    if (typeof given !== "object" || given === null) return; // config-file.ts takes no other
    const values = readAll({}, given);
    expect([true, false]).toContain(values.get("webhookAllowPrivate"));
    expect([true, false]).toContain(values.get("payments.allowPrivate"));
    for (const name of ["connection", "smtp.url", "smtp.from", "dataDir", "pdfFont", "heartbeatUrl", "webhookSecret", "payments.key", "payments.url"]) expect([name, values.get(name) === null || typeof values.get(name)]).toEqual([name, values.get(name) === null || "string"]);
  });
});

describe("the parts that are checked by themselves", () => {
  const duration = fc.oneof(fc.constantFrom<unknown>("1m", "7d", "36500d", 60_000, 30, false, "0d", "99999999999d", -1, "1e3s"), oddValue);
  const dayMs = 86_400_000;
  const configuration = refusedAs("CONFIGURATION");

  it("retention: each of the three is for ever, or from a minute to a hundred years; nothing else is in it", { timeout }, async () => {
    await fuzz(nearly(fc.record({ done: duration, cancelled: duration, dead: duration }, { requiredKeys: [] }), oddValue), 50, async (given) => {
      const { value } = await outcomeOf(() => retentionMs(given), configuration);
      if (value === undefined) return;
      expect(Object.keys(value)).toEqual(["done", "cancelled", "dead"]);
      for (const ms of Object.values(value)) expect(ms === null || (Number.isInteger(ms) && ms >= 60_000 && ms <= 36_500 * dayMs)).toBe(true);
      expect(Object.keys(given ?? {}).every((name) => ["done", "cancelled", "dead"].includes(name))).toBe(true);
    });
  });

  it("redrive: rules with times and numbers within their bounds", { timeout }, async () => {
    const rule = fc.record({ after: duration, atMost: fc.oneof(fc.integer({ min: 0, max: 1001 }), oddValue), only: fc.oneof<fc.Arbitrary<unknown>[]>(fc.array(oddText), oddValue), attempts: fc.integer({ min: 0, max: 1001 }) }, { requiredKeys: ["after"] });
    await fuzz(nearly(fc.dictionary(fc.oneof(fc.constantFrom("work", "__proto__"), oddText), rule, { maxKeys: 2 }), oddValue), 50, async (given) => {
      const { value = [] } = await outcomeOf(() => redrivePolicies(given), configuration);
      for (const { type, afterMs, atMost, only, attempts } of value) {
        expect(type.length >= 1 && type.length <= 200 && afterMs >= 60_000 && afterMs <= 30 * dayMs).toBe(true);
        expect([atMost, attempts].every((count) => Number.isInteger(count) && count >= 1 && count <= 1000)).toBe(true);
        expect(only === null || (only.length > 0 && only.every((each) => typeof each === "string" && each !== ""))).toBe(true);
      }
    });
  });

  it("alerts: thresholds within their bounds, each under a name of its own; receivers that there are", { timeout }, async () => {
    const types = fc.oneof<fc.Arbitrary<unknown>[]>(fc.array(oddText), oddValue);
    const count = fc.oneof<fc.Arbitrary<unknown>[]>(fc.integer({ min: 0, max: 10_001 }), fc.record({ atLeast: fc.integer({ min: 0, max: 10_001 }), within: duration, types, except: types }, { requiredKeys: ["atLeast"] }), oddValue);
    const age = fc.oneof<fc.Arbitrary<unknown>[]>(duration, fc.record({ after: duration, types, except: types }, { requiredKeys: ["after"] }), oddValue);
    const receiver = fc.oneof<fc.Arbitrary<unknown>[]>(fc.record({ email: text }), fc.record({ webhook: fc.constantFrom("ops", "toString", "") }), oddValue);
    const good = fc.record({ deadLetters: fc.oneof(count, fc.array(count)), oldestDue: fc.oneof(age, fc.array(age)), stuck: age, repeat: duration, notify: fc.array(receiver, { maxLength: 2 }) }, { requiredKeys: [] });
    await fuzz(nearly(good, oddValue), 50, async (given) => {
      const { value } = await outcomeOf(() => alertsOf(given, ["ops"]), configuration);
      if (value === undefined) return;
      const { rules, repeatMs } = alertRules(given as object);
      expect(value.rules).toEqual(rules);
      expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length);
      for (const { threshold, kind, name, withinMs } of rules) {
        expect(name.length <= 200 && Number.isInteger(threshold) && threshold >= (kind === "deadLetters" ? 1 : 10_000)).toBe(true);
        expect(withinMs === null || withinMs >= 60_000).toBe(true);
      }
      expect(repeatMs === null || repeatMs >= 300_000).toBe(true);
    });
  });
});
