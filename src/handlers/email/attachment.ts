// An attachment in a payload: bytes inline as base64, or the name of a file in our documents folder, and nothing else.
// What nodemailer would also take (path, href, raw, headers) reads files and addresses of the payload's choosing.

import { z } from "zod";
import { fileName } from "./file-name.ts";

export type AttachmentInput = {
  readonly contentType?: string;
  /** A name by which the HTML shows it: `"logo"` is shown by `<img src="cid:logo">`. */
  readonly cid?: string;
} & ({ readonly filename: string; readonly content: string } | { readonly document: string; readonly filename?: string });

/** An attachment that has been checked. `contentType` null: it follows from the file name. */
export interface Attachment {
  readonly filename: string;
  readonly contentType: string | null;
  /** Null: it is not part of the HTML. */
  readonly cid: string | null;
  readonly source: { readonly base64: string } | { readonly document: string };
}

const mediaType = z
  .string()
  .max(200)
  .regex(/^[\w.+-]+\/[\w.+-]+(?:; ?[\w-]+=[\w.+-]+)*$/, { error: 'expected a media type such as "application/pdf"' })
  // Such a part is built from parts of its own; given as bytes it would break out of its place in the message.
  .refine((type) => !/^(?:multipart|message)\//i.test(type), {
    error: "expected the type of a single file, got a multipart or message type; attach it as application/octet-stream",
  });

/** What fits between the < and > of a Content-ID and into a cid: URL without being escaped in either. */
const contentId = z.string().regex(/^[A-Za-z0-9][\w.-]{0,99}(?:@[\w.-]{1,100})?$/, { error: 'expected a cid of letters, digits, "_", "." and "-", such as "logo"' });

export const attachment = z
  .strictObject({
    filename: fileName.optional(),
    contentType: mediaType.optional(),
    cid: contentId.optional(),
    content: z.base64().optional(),
    document: fileName.optional(),
  })
  .transform((given, ctx): Attachment => {
    const { filename, contentType = null, cid = null, content, document } = given;
    if (document !== undefined && content === undefined) return { filename: filename ?? document, contentType, cid, source: { document } };
    if (content !== undefined && document === undefined && filename !== undefined) return { filename, contentType, cid, source: { base64: content } };
    ctx.addIssue(
      content === undefined || document !== undefined
        ? "expected either content (base64) or document (the name of a file in the documents folder)"
        : "expected a filename beside content",
    );
    return z.NEVER;
  });
