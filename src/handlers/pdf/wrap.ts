// Text into lines of at most a width. Our own rather than pdfkit's wrapper, because a table must know its lines before
// it draws them, to break a row across pages.

export type Measure = (text: string) => number;

// Scripts that put no spaces between words, so that a line may end after any character …
const spaceless = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
// … except that these may not begin one; they hang into the margin instead, one a line.
const neverFirst = /^[、。，．・：；！？）」』】〉》ー]/u;

const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

/** Breaks after spaces; a word that is longer than a line is broken wherever the line is full. Never returns no line. */
export function wrap(text: string, maxWidth: number, measure: Measure): string[] {
  return text.split("\n").flatMap((paragraph) => wrapParagraph(paragraph, maxWidth, measure));
}

function wrapParagraph(paragraph: string, maxWidth: number, measure: Measure): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  const end = (): void => {
    lines.push(line.trimEnd());
    line = "";
    used = 0;
  };
  // Only the plain space: a no-break space keeps "1 000 €" on one line.
  for (const word of paragraph.split(/(?<= )/)) {
    const width = measure(word.trimEnd()); // the space after it may stand beyond the edge
    if (used + width > maxWidth && (width > maxWidth || spaceless.test(word))) {
      for (const { segment } of graphemes.segment(word)) {
        const step = measure(segment);
        const hangs = used <= maxWidth && (segment === " " || neverFirst.test(segment));
        if (line !== "" && used + step > maxWidth && !hangs) end();
        line += segment;
        used += step;
      }
      continue;
    }
    if (line !== "" && used + width > maxWidth) end();
    line += word;
    used += measure(word);
  }
  end();
  return lines;
}
