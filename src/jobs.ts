// The contracts of the built-in job types. Importing them loads no handler's libraries.

export { dataSync } from "./handlers/data-sync.ts";
export type { EmailPayload } from "./handlers/email-send.ts";
export { emailSend } from "./handlers/email-send.ts";
export { notificationSend } from "./handlers/notification-send.ts";
export { pdfGenerate } from "./handlers/pdf-generate.ts";
