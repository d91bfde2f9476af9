// outbox.config.js has no types: an entry of the wrong kind is refused by its name, and opens nothing.

import { expect, it } from "vitest";
import { retentionMs } from "../../src/outbox/retention.ts";
import type { OutboxConfig } from "../../src/service/config.ts";
import { settingsTable } from "../../src/service/settings-table.ts";

const read = (name: keyof typeof settingsTable, config: unknown) => {
  const { value, problem } = settingsTable[name].read({ variable: () => null, file: { name: "outbox.config.js", config: config as OutboxConfig } });
  return { value, problem: problem?.message ?? null };
};

it('webhookAllowPrivate: "false" does not open the private network', () => {
  expect(read("webhookAllowPrivate", { webhookAllowPrivate: "false" })).toEqual({ value: false, problem: "Expected webhookAllowPrivate of the configuration to be true or false, got a value of the type string." });
  expect(read("payments.allowPrivate", { payments: { allowPrivate: "no" } })).toMatchObject({ value: false, problem: expect.stringContaining("true or false") });
});

it.each<[keyof typeof settingsTable, unknown, string]>([
  ["connection", { connection: 5 }, "connection of the configuration to be a text"],
  ["smtp.url", { smtp: "smtp://mail.example.com" }, "smtp of the configuration to be an object"],
  ["smtp.url", { smtp: { url: new URL("smtp://user:hunter2@mail.example.com") } }, "smtp.url of the configuration to be a text, got a value of the type object"],
  ["handlers", { handlers: [null] }, "handlers of the configuration to be a list of handlers"],
  ["handlers", { handlers: {} }, "handlers of the configuration to be a list of handlers"],
  ["schedules", { schedules: [{}] }, "schedules of the configuration to be a list of schedules"],
  ["webhooks", { webhooks: [] }, "webhooks of the configuration to be an object, got a list"],
  ["prisma", { prisma: {} }, "prisma of the configuration to be a function"],
  ["http.tokens.run", { http: { tokens: "x".repeat(40) } }, "http.tokens of the configuration to be an object"],
  ["http.tokens.run", { http: { tokens: { run: { name: 5, token: "x".repeat(40) } } } }, "the name of each token of the role run to be a text"],
  ["http.tokens.view", { http: { tokens: { view: ` ${"x".repeat(40)}` } } }, "each token of the role view to be of letters"],
])("%s: %j is refused", (name, config, sentence) => expect(read(name, config).problem).toContain(`Expected ${sentence}`));

it("retention takes no BigInt, and no name that only JavaScript knows", () => {
  expect(() => retentionMs({ done: 7n })).toThrow("Expected retention.done to be a duration from");
  for (const name of ["toString", "constructor", "__proto__"]) expect(() => retentionMs(Object.fromEntries([[name, "7d"]]))).toThrow("Expected retention to name done, cancelled or dead");
});
