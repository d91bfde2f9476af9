// The built-in handlers, wired to the settings. Each is loaded when the first job of its type is claimed.

import type { PaymentSettings } from "../handlers/payment/provider.ts";
import type { LazyHandler } from "../outbox/define.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { Settings } from "./config.ts";

/** The app's handlers and the built-in ones; a handler of the app takes the place of a built-in one. */
export function handlersOf(settings: Settings): HandlerEntry[] {
  const own = new Set(settings.handlers.map(typeOf));
  return [...settings.handlers, ...builtIn(settings).filter(({ type }) => !own.has(type))];
}

function builtIn(settings: Settings): LazyHandler[] {
  const { smtpUrl, mailFrom, mailDir, documentsDir, pdfFont, channels, endpoints, webhooks, webhookSecrets, webhookAllowPrivate, payments, production } = settings;
  const email: LazyHandler = {
    type: "email.send",
    load: async () => (await import("../handlers/email-send.ts")).emailSendHandler({ smtpUrl, from: mailFrom, mailDir, documentsDir }),
  };
  return [
    // Mail that production writes into files would be lost without a word; with no handler it waits and is reported.
    ...(smtpUrl === null && production ? [] : [email]),
    { type: "pdf.generate", load: async () => (await import("../handlers/pdf-generate.ts")).pdfGenerateHandler({ documentsDir, fontFile: pdfFont }) },
    { type: "notification.send", load: async () => (await import("../handlers/notification-send.ts")).notificationSendHandler({ channels }) },
    { type: "notification.deliver", load: async () => (await import("../handlers/notification-deliver.ts")).notificationDeliverHandler({ channels }) },
    { type: "data.sync", load: async () => (await import("../handlers/data-sync.ts")).dataSyncHandler({ endpoints }) },
    { type: "audit.log", load: async () => (await import("../handlers/audit-log.ts")).auditLogHandler() },
    {
      type: "webhook.send",
      load: async () => (await import("../handlers/webhook-send.ts")).webhookSendHandler({ webhooks, secrets: webhookSecrets, allowPrivate: webhookAllowPrivate }),
    },
    // Without a key nobody can be asked; with no handler the jobs wait and are reported.
    ...(payments === null ? [] : paymentHandlers(payments)),
  ];
}

function paymentHandlers(payments: PaymentSettings): LazyHandler[] {
  return [
    { type: "payment.capture", load: async () => (await import("../handlers/payment-capture.ts")).paymentCaptureHandler(payments) },
    { type: "payment.cancel", load: async () => (await import("../handlers/payment-cancel.ts")).paymentCancelHandler(payments) },
    { type: "payment.refund", load: async () => (await import("../handlers/payment-refund.ts")).paymentRefundHandler(payments) },
  ];
}
