// The contracts of the built-in job types. Importing them loads no handler's libraries.

export { auditLog } from "./handlers/audit-log.ts";
export { dataSync } from "./handlers/data-sync.ts";
export type { EmailPayload } from "./handlers/email-send.ts";
export { emailSend } from "./handlers/email-send.ts";
export { notificationDeliver } from "./handlers/notification/delivery.ts";
export { notificationSend } from "./handlers/notification-send.ts";
export { paymentCancel } from "./handlers/payment-cancel.ts";
export { paymentCapture } from "./handlers/payment-capture.ts";
export { paymentRefund } from "./handlers/payment-refund.ts";
export { pdfGenerate } from "./handlers/pdf-generate.ts";
export type { WebhookPayload } from "./handlers/webhook-send.ts";
export { webhookSend } from "./handlers/webhook-send.ts";
