// webhook.send before anything is sent: which payloads and which configurations are refused, and with what words.

import { expect, describe, test } from "vitest";
import { FinalError, OutboxError } from "../../src/index.ts";
import type { WebhookPayload } from "../../src/jobs.ts";
import { webhookSend } from "../../src/jobs.ts";
import type { WebhookSettings } from "../../src/handlers/webhook-send.ts";
import { webhookSendHandler } from "../../src/handlers/webhook-send.ts";
import type { WebhookEndpoint } from "../../src/handlers/webhook/endpoints.ts";
import { runHandler } from "../support/run-handler.ts";
import { thrownBy } from "./local-server.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const settings: WebhookSettings = { webhooks: { crm: { url: "https://crm.example.com/hook", secrets: [secret] } }, secrets: [] };
const paid = { event: "invoice.paid", data: null };

describe("the payload", () => {
  test.each<[unknown, string]>([
    [{ ...paid }, "payload.endpoint does not fit: expected the name of an endpoint, or a url, got neither"],
    [{ ...paid, url: "https://example.com/", endpoint: "crm" }, "payload.url does not fit: expected no url beside an endpoint"],
    [{ ...paid, url: "example.com/hook" }, "payload.url does not fit: expected an absolute URL"],
    [{ ...paid, url: "ftp://example.com/" }, "payload.url"],
    [{ ...paid, url: "file:///etc/passwd" }, "payload.url"],
    [{ ...paid, url: "https://ann:hunter2@example.com/" }, "payload.url"],
    [{ ...paid, endpoint: "" }, "payload.endpoint"],
    [{ ...paid, endpoint: "crm", event: "" }, "payload.event"],
    [{ endpoint: "crm", data: {} }, "payload.event"],
    [{ endpoint: "crm", event: "invoice.paid" }, "payload.data does not fit: expected any JSON, null included, got nothing"],
    [{ ...paid, endpoint: "crm", headers: { Host: "evil" } }, '"headers"'],
    [{ ...paid, endpoint: "crm", secret }, '"secret"'],
    [null, "payload"],
  ])("%j is refused, and the message names the place", async (payload, words) => {
    const error = await thrownBy(runHandler(webhookSendHandler(settings), payload));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(words);
    expect(error.message).not.toMatch(/hunter2|BwcHBwcH/);
  });

  test("its type says that exactly one of url and endpoint is given", () => {
    const job = (payload: WebhookPayload) => webhookSend.job(payload);
    job({ ...paid, url: "https://example.com/" });
    job({ ...paid, endpoint: "crm" });
    // @ts-expect-error neither a url nor an endpoint
    job(paid);
    // @ts-expect-error both a url and an endpoint
    job({ ...paid, url: "https://example.com/", endpoint: "crm" });
    // @ts-expect-error there is no data
    job({ event: "invoice.paid", endpoint: "crm" });
  });

  test("an endpoint that is not configured is refused, final, with the names that are", async () => {
    for (const endpoint of ["erp", "constructor", "__proto__"]) {
      const error = await thrownBy(runHandler(webhookSendHandler(settings), { ...paid, endpoint }));
      expect(error).toBeInstanceOf(FinalError);
      expect(error.message).toBe(`Expected endpoint to be one of webhooks in the configuration, got "${endpoint}". Known are: "crm".`);
    }
  });

  test("a url is refused, final, when there is no secret to sign with", async () => {
    const error = await thrownBy(runHandler(webhookSendHandler(settings), { ...paid, url: "https://example.com/hook" }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toMatch(/Expected a secret to sign with .* Set WEBHOOK_SECRET/);
  });
});

describe("secrets", () => {
  const canary = Buffer.from("canary-canary-canary-canary-7351").toString("base64");

  test.each<[string, string]>([
    [canary, "does not begin with whsec_"],
    [`whsk_${canary}`, "does not begin with whsec_"],
    ["", "does not begin with whsec_"],
    ["whsec_", "0 bytes"],
    [`whsec_${canary.slice(0, 20)}`, "15 bytes"],
    [`whsec_${canary.repeat(3).replaceAll("=", "")}`, "bytes"],
    [`whsec_${canary}!`, "something else after it"],
    [`whsec_${canary.replace("=", "")}`, "something else after it"],
    [`whsec_ ${canary}`, "something else after it"],
  ])("one that cannot be used is refused when the handler is made, and not shown (%#)", (bad, words) => {
    const both: WebhookSettings[] = [
      { webhooks: {}, secrets: [secret, bad] },
      { webhooks: { crm: { url: "https://example.com/", secrets: [bad] } }, secrets: [] },
    ];
    for (const [index, each] of both.entries()) {
      const error = thrown(each);
      expect(error.message).toContain(words);
      expect(error.message).toContain(index === 0 ? "Expected secret 2 of WEBHOOK_SECRET to be" : 'Expected webhooks["crm"].secrets[0] to be');
      expect(error.message).not.toContain(canary.slice(0, 12));
    }
  });

  test("of 24 and of 64 bytes are taken", () => {
    const secrets = [24, 64].map((bytes) => `whsec_${Buffer.alloc(bytes, 1).toString("base64")}`);
    expect(() => webhookSendHandler({ webhooks: {}, secrets })).not.toThrow();
  });
});

describe("the configuration", () => {
  const crm: WebhookEndpoint = { url: "https://crm.example.com/hook", secrets: [secret] };

  test.each<[string, unknown, RegExp]>([
    ["a misspelt field", { ...crm, secret }, /webhooks\["it"\].*"secret"/],
    ["no URL", { secrets: [secret] }, /webhooks\["it"\]\.url/],
    ["a URL that is none", { ...crm, url: "crm.example.com" }, /webhooks\["it"\]\.url.*absolute URL/],
    ["a private address", { ...crm, url: "http://10.0.0.1/" }, /webhooks\["it"\]\.url.*10\.0\.0\.1 \(private\)/],
    ["credentials in the URL", { ...crm, url: "https://ann:hunter2@example.com/" }, /webhooks\["it"\]\.url.*without a user name/],
    ["no secrets", { url: crm.url }, /webhooks\["it"\]\.secrets/],
    ["an empty list of secrets", { ...crm, secrets: [] }, /webhooks\["it"\]\.secrets.*at least one secret/],
    ["six secrets", { ...crm, secrets: Array.from({ length: 6 }, () => secret) }, /webhooks\["it"\]\.secrets.*at most 5/],
    ["a header that HTTP cannot carry", { ...crm, headers: { Authorization: "a\nhunter2" } }, /webhooks\["it"\]\.headers.*[Aa]uthorization/],
    ["a header's name that is none", { ...crm, headers: { "a b": "x" } }, /webhooks\["it"\]\.headers/],
    ["a header that is ours", { ...crm, headers: { "Webhook-ID": "x" } }, /webhooks\["it"\]\.headers\.Webhook-ID/],
    ["nothing", null, /webhooks\["it"\]/],
  ])("%s is refused when the handler is made", (_what, endpoint, message) => {
    const error = thrown({ webhooks: { it: endpoint as WebhookEndpoint }, secrets: [] }); // a configuration is not always written in TypeScript
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/hunter2|BwcHBwcH/);
  });

  test("an endpoint needs a name that a job can give", () => {
    expect(thrown({ webhooks: { "": crm }, secrets: [] }).message).toContain('webhooks[""]');
  });
});

function thrown(bad: WebhookSettings): OutboxError {
  try {
    webhookSendHandler(bad);
  } catch (error) {
    if (error instanceof OutboxError && error.code === "CONFIGURATION") return error;
    throw error;
  }
  throw new Error("expected the settings to be refused, and they were not");
}
