// The payload of email.send: which fields there are, and what they become. Unknown fields are refused by name, so that
// nothing reaches nodemailer that is not listed here. Next: message.ts.

import { z } from "zod";
import type { AddressInput, Mailbox } from "./address.ts";
import { mailboxes } from "./address.ts";
import type { Attachment, AttachmentInput } from "./attachment.ts";
import { attachment } from "./attachment.ts";
import { headerText } from "./header-text.ts";
import type { Letter } from "./letter.ts";
import type { TemplateInput } from "./templates.ts";
import { isTemplateName, templates } from "./templates.ts";

type Addresses = AddressInput | readonly AddressInput[];

/** What a producer enqueues: the mail's own words, or the name of a template and its data. */
export type EmailPayload = {
  readonly to: Addresses;
  readonly cc?: Addresses;
  readonly bcc?: Addresses;
  readonly replyTo?: Addresses;
  readonly attachments?: readonly AttachmentInput[];
  /**
   * When the connection breaks after the mail was handed over, or the process dies meanwhile, nobody knows whether it was
   * delivered. "repeat": it is sent again under the same Message-ID, so at least once. "ask": it is not, so at most once;
   * the job becomes a dead letter for people to look into. Default: "repeat".
   */
  readonly onDoubt?: "repeat" | "ask";
} & ({ readonly subject: string; readonly body: string; readonly html?: string } | TemplateInput);

/** What the handler is given. */
export interface Email {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly attachments: readonly Attachment[];
  readonly onDoubt: "repeat" | "ask";
  readonly words: { readonly subject: string; readonly text: string; readonly html: string | null } | Letter;
}

const maxRecipients = 100;

const fields = z.strictObject({
  to: mailboxes.refine((list) => list.length > 0, { error: "expected at least one recipient, got an empty list" }),
  cc: mailboxes.optional(),
  bcc: mailboxes.optional(),
  replyTo: mailboxes.optional(),
  subject: headerText(500).optional(),
  body: z.string().optional(),
  html: z.string().optional(),
  template: z.string().meta({ enum: Object.keys(templates) }).optional(), // known to the JSON Schema; checked below
  data: z.unknown().optional(),
  attachments: z.array(attachment).max(50).optional(),
  onDoubt: z.enum(["repeat", "ask"]).optional(),
});

const schema = fields.transform((given, ctx): Email => {
  const { to, cc = [], bcc = [], replyTo = [], attachments = [], onDoubt = "repeat" } = given;
  const recipients = to.length + cc.length + bcc.length;
  if (recipients > maxRecipients) {
    ctx.addIssue({ code: "custom", path: ["to"], message: `expected at most ${maxRecipients} recipients in to, cc and bcc together, got ${recipients}` });
  }
  checkContentIds(attachments, given.html, ctx);
  const words = given.template === undefined ? ownWords(given, ctx) : templateWords(given.template, given, ctx);
  return words === null ? z.NEVER : { to, cc, bcc, replyTo, attachments, onDoubt, words };
});

// zod infers the input as "every field optional". The type says more, which field goes with which, and all that fits it
// fits the schema too: the transform above refuses only what the type cannot express.
export const emailPayload = schema as unknown as z.ZodType<Email, EmailPayload>;

/** A part of the HTML that no HTML shows would not be seen by most programs, nor listed as an attachment. */
function checkContentIds(attachments: readonly Attachment[], html: string | undefined, ctx: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const [index, { cid }] of attachments.entries()) {
    if (cid === null) continue;
    const refuse = (message: string) => ctx.addIssue({ code: "custom", path: ["attachments", index, "cid"], message });
    if (html?.includes(`cid:${cid}`) !== true) refuse(`expected html that shows it as "cid:${cid}", got ${html === undefined ? "no html" : "html without that"}`);
    if (seen.has(cid)) refuse(`expected a cid for each attachment of its own, got "${cid}" twice`);
    seen.add(cid);
  }
}

type Fields = z.output<typeof fields>;

function ownWords({ subject, body, html, data }: Fields, ctx: z.RefinementCtx): Email["words"] | null {
  const refuse = (field: string, message: string): null => (ctx.addIssue({ code: "custom", path: [field], message }), null);
  if (data !== undefined) return refuse("data", "expected no data without a template");
  if (subject === undefined) return refuse("subject", "expected a subject, or a template and its data, got neither");
  if (body === undefined) return refuse("body", "expected the text of the mail, or a template and its data, got neither");
  return { subject, text: body, html: html ?? null };
}

function templateWords(name: string, given: Fields, ctx: z.RefinementCtx): Letter | null {
  for (const field of ["subject", "body", "html"] as const) {
    if (given[field] === undefined) continue;
    ctx.addIssue({ code: "custom", path: [field], message: `expected no ${field} beside a template, which brings its own` });
    return null;
  }
  if (!isTemplateName(name)) {
    const message = `expected one of the templates ${Object.keys(templates).join(", ")}, got ${JSON.stringify(name.slice(0, 100))}`;
    ctx.addIssue({ code: "custom", path: ["template"], message });
    return null;
  }
  const written = templates[name].letter(given.data);
  if ("letter" in written) return written.letter;
  for (const { path, message } of written.issues) ctx.addIssue({ code: "custom", path: ["data", ...path], message });
  return null;
}
