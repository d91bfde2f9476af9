// The part of fontkit that is used here. It is what pdfkit reads fonts with; we ask it which characters a font has.

declare module "fontkit" {
  export interface Font {
    readonly postscriptName: string | null;
    hasGlyphForCodePoint(codePoint: number): boolean;
  }
  /** A .ttc or .otc file: several fonts in one. */
  export interface FontCollection {
    readonly fonts: readonly Font[];
  }
  /** Throws when `data` is no font that it knows. */
  export function create(data: Uint8Array): Font | FontCollection;
}
