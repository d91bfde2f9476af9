// A letter as plain data, and its two forms: text, and HTML in which every value is escaped. templates.ts writes letters.

/** What a template says. All of it is plain text. */
export interface Letter {
  readonly subject: string;
  /** Whom it greets. */
  readonly name: string;
  readonly paragraphs: readonly string[];
  readonly facts: readonly { readonly label: string; readonly value: string }[];
  readonly link: { readonly text: string; readonly url: string } | null;
}

export function letterText({ name, paragraphs, facts, link }: Letter): string {
  const parts = [`Hello ${name},`, ...paragraphs, facts.map(({ label, value }) => `${label}: ${value}`).join("\n")];
  if (link !== null) parts.push(`${link.text}: ${link.url}`);
  return `${parts.join("\n\n")}\n`;
}

// Mail programs ignore style sheets in part, so the few rules that there are stand beside the elements.
const font = "font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5;color:#1f2933";
const cell = "padding:6px 16px 6px 0;vertical-align:top;text-align:left";
const button = "display:inline-block;padding:10px 20px;border-radius:6px;background:#1d4ed8;color:#ffffff;text-decoration:none";

export async function letterHtml({ subject, name, paragraphs, facts, link }: Letter): Promise<string> {
  // hono's tagged template escapes every value that is put into it, in text and in quoted attributes.
  const { html } = await import("hono/html");
  const page = await html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${subject}</title></head>
<body style="margin:0;padding:24px;background:#f3f4f6">
<div style="max-width:560px;margin:0 auto;padding:32px;border-radius:8px;background:#ffffff;${font}">
<p style="margin-top:0">Hello ${name},</p>
${paragraphs.map((paragraph) => html`<p>${paragraph}</p>`)}
<table role="presentation" style="border-collapse:collapse;margin:24px 0;${font}">
${facts.map(({ label, value }) => html`<tr><td style="${cell};color:#52606d">${label}</td><td style="${cell}">${value}</td></tr>`)}
</table>
${link === null ? "" : html`<p style="margin-bottom:0"><a href="${link.url}" style="${button}">${link.text}</a></p>`}
</div>
</body>
</html>
`;
  return page.toString();
}
