// The built-in handlers, wired to the settings. Each is loaded when the first job of its type is claimed.

import type { LazyHandler } from "../outbox/define.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import type { Settings } from "./config.ts";

/** The app's handlers and the built-in ones; a handler of the app takes the place of a built-in one. */
export function handlersOf(settings: Settings): HandlerEntry[] {
  const own = new Set(settings.handlers.map(typeOf));
  return [...settings.handlers, ...builtIn(settings).filter(({ type }) => !own.has(type))];
}

function builtIn({ smtpUrl, mailFrom, mailDir, documentsDir, pdfFont, endpoints, production }: Settings): LazyHandler[] {
  const email: LazyHandler = {
    type: "email.send",
    load: async () => (await import("../handlers/email-send.ts")).emailSendHandler({ smtpUrl, from: mailFrom, mailDir, documentsDir }),
  };
  return [
    // Mail that production writes into files would be lost without a word; with no handler it waits and is reported.
    ...(smtpUrl === null && production ? [] : [email]),
    { type: "pdf.generate", load: async () => (await import("../handlers/pdf-generate.ts")).pdfGenerateHandler({ documentsDir, fontFile: pdfFont }) },
    { type: "notification.send", load: async () => (await import("../handlers/notification-send.ts")).notificationSendHandler() },
    { type: "data.sync", load: async () => (await import("../handlers/data-sync.ts")).dataSyncHandler({ endpoints }) },
  ];
}
