// The page being filled: where the next line goes, when a new page begins, and the limits of the whole document.
// Everything drawn goes through here, so nothing can run over the edge. Next: table.ts, letterhead.ts.

import { setImmediate } from "node:timers/promises";
import { FinalError } from "../../outbox/errors.ts";
import type { Style, Typesetter } from "./typesetter.ts";
import { colors, lineHeight, styles } from "./typesetter.ts";

const margin = { side: 56, top: 54, bottom: 74 };
const maxBlockMs = 20; // then other work of the process gets its turn: beats, timers, other jobs

export interface SheetOptions {
  readonly doc: PDFKit.PDFDocument;
  readonly type: Typesetter;
  readonly maxPages: number;
  readonly signal: AbortSignal;
}

export class Sheet {
  readonly type: Typesetter;
  readonly left = margin.side;
  readonly right: number;
  readonly width: number;
  /** Where the next line goes. */
  y = margin.top;
  pages = 1;
  readonly #doc: PDFKit.PDFDocument;
  readonly #options: SheetOptions;
  #turnStartedAtMs = performance.now();

  constructor(options: SheetOptions) {
    this.#options = options;
    this.#doc = options.doc;
    this.type = options.type;
    this.right = options.doc.page.width - margin.side;
    this.width = this.right - this.left;
  }

  /** The height that is left on this page. */
  get room(): number {
    return this.#doc.page.height - margin.bottom - this.y;
  }

  /** The height that an empty page has. */
  get fullRoom(): number {
    return this.#doc.page.height - margin.bottom - margin.top;
  }

  newPage(): void {
    const { maxPages } = this.#options;
    if (this.pages >= maxPages) throw new FinalError(`Expected a document of at most ${maxPages} pages, got one that needs more. Split it into several documents.`);
    this.#doc.addPage();
    this.pages += 1;
    this.y = margin.top;
  }

  /** A new page unless `height` still fits on this one. */
  keep(height: number): void {
    if (this.room < height) this.newPage();
  }

  /** A text over as many lines and pages as it needs. */
  async flow(text: string, style: Style, width = this.width): Promise<void> {
    for (const line of this.type.lines(text, style, width)) {
      this.keep(lineHeight(style));
      this.type.draw(line, this.left, this.y, style);
      this.y += lineHeight(style);
      await this.breathe();
    }
  }

  rule(y: number, from = this.left, to = this.right, color: string = colors.rule, thickness = 0.6): void {
    this.#doc.moveTo(from, y).lineTo(to, y).lineWidth(thickness).strokeColor(color).stroke();
  }

  band(height: number, color: string): void {
    this.#doc.rect(this.left, this.y, this.width, height).fill(color);
  }

  /** Ends the work when the job was cancelled, and lets the rest of the process run from time to time. */
  async breathe(): Promise<void> {
    this.#options.signal.throwIfAborted();
    if (performance.now() - this.#turnStartedAtMs < maxBlockMs) return;
    await setImmediate();
    this.#options.signal.throwIfAborted();
    this.#turnStartedAtMs = performance.now();
  }

  /** The foot of every page, once it is known how many there are. */
  footers(leftText: string, pageText: (page: number, pages: number) => string): void {
    const y = this.#doc.page.height - margin.bottom + 26;
    for (let page = 0; page < this.pages; page += 1) {
      this.#doc.switchToPage(page);
      this.rule(y - 7);
      const number = pageText(page + 1, this.pages);
      // One line of it: it only repeats what the first page says in full.
      const [line = ""] = this.type.lines(leftText, styles.small, this.width - this.type.width(number, styles.small) - 20);
      this.type.draw(line, this.left, y, styles.small);
      this.type.draw(number, this.left, y, styles.small, this.right);
    }
  }
}
