// The payment jobs before anything is asked: which payloads and which settings are refused, and with what words.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { FinalError, OutboxError } from "../../src/index.ts";
import { paymentCancel, paymentCapture, paymentRefund } from "../../src/jobs.ts";
import { paymentCancelHandler } from "../../src/handlers/payment-cancel.ts";
import { paymentCaptureHandler } from "../../src/handlers/payment-capture.ts";
import type { PaymentSettings } from "../../src/handlers/payment/provider.ts";
import { paymentRefundHandler } from "../../src/handlers/payment-refund.ts";
import { typeOf } from "../../src/outbox/registry.ts";
import { loadSettings } from "../../src/service/config.ts";
import { handlersOf } from "../../src/service/handlers.ts";
import { runHandler } from "../support/run-handler.ts";
import { thrownBy } from "./local-server.ts";

const settings: PaymentSettings = { url: "https://api.stripe.com", key: "sk_test_canary" };
const handlers = { capture: paymentCaptureHandler(settings), cancel: paymentCancelHandler(settings), refund: paymentRefundHandler(settings) };

describe("the payload", () => {
  test.each<[keyof typeof handlers, unknown, string]>([
    ["capture", {}, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "" }, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "pi_1/../../customers" }, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "pi_1?expand=x" }, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "pi_1\r\nX-Evil: 1" }, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "p".repeat(101) }, "payload.paymentIntentId"],
    ["capture", { paymentIntentId: "pi_1", amount: 0 }, "payload.amount"],
    ["capture", { paymentIntentId: "pi_1", amount: -5 }, "payload.amount"],
    ["capture", { paymentIntentId: "pi_1", amount: 9.99 }, "payload.amount"],
    ["capture", { paymentIntentId: "pi_1", amount: "600" }, "payload.amount"],
    ["capture", { paymentIntentId: "pi_1", amount: 2 ** 60 }, "payload.amount"],
    ["capture", { paymentIntentId: "pi_1", reason: "duplicate" }, '"reason"'],
    ["capture", { paymentIntentId: "pi_1", operationId: "a b" }, "payload.operationId"],
    ["cancel", { paymentIntentId: "pi_1", amount: 5 }, '"amount"'],
    ["cancel", { paymentIntentId: "pi_1", reason: "because" }, "payload.reason"],
    ["refund", { paymentIntentId: "pi_1", reason: "abandoned" }, "payload.reason"],
    ["refund", { paymentIntentId: "pi_1", metadata: {} }, '"metadata"'],
    ["refund", { charge: "ch_1" }, "payload.paymentIntentId"],
  ])("%s %j is refused, and the message names the place", async (operation, payload, words) => {
    const error = await thrownBy(runHandler(handlers[operation], payload));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain(words);
  });

  test("all are tried six times within the day for which the provider knows the key", () => {
    for (const { maxAttempts, retry, timeoutMs } of [paymentCapture, paymentCancel, paymentRefund]) {
      expect({ maxAttempts, retry, timeoutMs }).toEqual({ maxAttempts: 6, retry: { delays: ["10s", "1m", "10m", "1h", "6h"] }, timeoutMs: 180_000 });
    }
  });
});

describe("the settings", () => {
  test.each<[Partial<PaymentSettings>, string]>([
    [{ url: "api.stripe.com" }, "got something that is no URL"],
    [{ url: "" }, "got something that is no URL"],
    [{ url: "ftp://api.stripe.com" }, '"ftp:"'],
    [{ url: "http://api.stripe.com" }, "everybody on the way could read the key"],
    [{ url: "https://user:canary@api.stripe.com" }, "without a user name and password"],
    [{ url: "https://10.0.0.5" }, "10.0.0.5 (private)"],
    [{ url: "https://169.254.169.254" }, "169.254.169.254 (linkLocal)"],
    [{ url: "https://api.stripe.com?key=canary" }, "one with a ? or a #"],
    [{ key: "" }, "PAYMENT_API_KEY"],
    [{ key: "sk canary" }, "PAYMENT_API_KEY"],
    [{ key: "sk_canary\nX-Evil: 1" }, "PAYMENT_API_KEY"],
    [{ key: "canaryß" }, "PAYMENT_API_KEY"],
  ])("%j are refused when the handler is made, and the key is not shown", (bad, words) => {
    for (const make of [paymentCaptureHandler, paymentCancelHandler, paymentRefundHandler]) {
      let error: unknown;
      try {
        make({ ...settings, ...bad });
      } catch (cause) {
        error = cause;
      }
      expect(error).toBeInstanceOf(OutboxError);
      expect(error).toMatchObject({ code: "CONFIGURATION", message: expect.stringContaining(words) });
      expect(String(error)).not.toContain("canary");
    }
  });

  test.each(["https://api.stripe.com/", "http://127.0.0.1:12111", "http://localhost:12111/stripe", "http://[::1]:12111"])("%s is taken", (url) => {
    expect(() => paymentCaptureHandler({ ...settings, url })).not.toThrow();
  });

  test("with allowPrivate a stand-in may be anywhere in the own network", () => {
    expect(() => paymentCaptureHandler({ ...settings, url: "http://10.0.0.5:12111", allowPrivate: true })).not.toThrow();
  });

  test("a public name that leads into the own network is refused when it is asked, final", async () => {
    const handler = paymentRefundHandler({ ...settings, resolve: () => Promise.resolve([{ address: "10.0.0.5", family: 4 }]) });
    const error = await thrownBy(runHandler(handler, { paymentIntentId: "pi_1" }));
    expect(error).toBeInstanceOf(FinalError);
    expect(error.message).toContain("10.0.0.5");
  });

  test("without a key there is no handler, so that the jobs wait; with one there are three, for Stripe unless another URL is given", async () => {
    const folder = await mkdtemp(join(tmpdir(), "payments-"));
    const registered = async () => handlersOf(await loadSettings(folder)).map(typeOf).filter((type) => type.startsWith("payment."));
    try {
      for (const name of ["PAYMENT_API_KEY", "PAYMENT_API_URL"]) vi.stubEnv(name, undefined);
      expect(await registered()).toEqual([]);
      vi.stubEnv("PAYMENT_API_URL", "http://localhost:12111");
      vi.stubEnv("PAYMENT_API_KEY", "");
      expect(await registered()).toEqual([]);
      vi.stubEnv("PAYMENT_API_KEY", "sk_test_1");
      expect(await registered()).toEqual(["payment.capture", "payment.cancel", "payment.refund"]);
      expect((await loadSettings(folder)).payments).toEqual({ url: "http://localhost:12111", key: "sk_test_1", allowPrivate: false });
      vi.stubEnv("PAYMENT_API_URL", undefined);
      expect((await loadSettings(folder)).payments).toMatchObject({ url: "https://api.stripe.com" });
    } finally {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  });
});
