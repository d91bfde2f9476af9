// Text from data, made safe and measurable for a terminal: nothing in it can move the cursor, colour, reorder or hide.
// For the log and for what commands print: commands/output/table.ts lays it out.

// Control characters (C0, DEL, C1), format characters (bidi overrides, zero-width spaces, tags), line and paragraph
// separators, half surrogates. The two joiners stay: emoji and several scripts are written with them.
const unsafe = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const short = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/** `text` on one line, with everything that a terminal would obey shown as its escape: `\u001b[31m`. */
export function visible(text: string): string {
  return text.replace(unsafe, (char) => short.get(char) ?? unicodeEscape(char));
}

/** JSON text that any terminal may show and any parser reads as the same document. `indent` of 0 is one line. */
export function visibleJson(value: unknown, indent = 0): string {
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? String(item) : item), indent);
  // JSON.stringify has escaped what JSON must escape. A newline that is left is one of the indentation.
  return text.replace(unsafe, (char) => (char === "\n" ? char : unicodeEscape(char)));
}

function unicodeEscape(char: string): string {
  let escaped = "";
  for (let index = 0; index < char.length; index += 1) escaped += `\\u${char.charCodeAt(index).toString(16).padStart(4, "0")}`;
  return escaped;
}

// Made with the first text that is not ASCII: its tables take longer to load than an empty drain's own code.
let segmenter: Intl.Segmenter | null = null;
const graphemesOf = (text: string) => (segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" })).segment(text);
const printableAscii = /^[ -~]*$/;
// East Asian wide and fullwidth blocks; emoji are recognised by their property.
const wide =
  /^(?:[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\p{RI}{2}|.\ufe0f)/u;

/** How many columns of a terminal `text` takes, which must be visible already. */
export function displayWidth(text: string): number {
  if (printableAscii.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemesOf(text)) width += graphemeWidth(segment);
  return width;
}

/** `text` in at most `columns` columns; what was cut off is marked by an ellipsis. */
export function cut(text: string, columns: number): string {
  // One grapheme takes at least one column unless it is a lone mark, so a huge cell is not segmented to its end.
  const head = text.length > columns * 16 + 64 ? text.slice(0, columns * 16 + 64) : text;
  if (head.length === text.length && displayWidth(text) <= columns) return text;
  let width = 0;
  let kept = "";
  for (const { segment } of graphemesOf(head)) {
    width += graphemeWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

function graphemeWidth(grapheme: string): number {
  if (wide.test(grapheme)) return 2;
  return /^\p{M}+$/u.test(grapheme) ? 0 : 1;
}
