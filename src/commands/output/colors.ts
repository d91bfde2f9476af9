// The few colours: a table's head, and a job's status.

import { styleText } from "node:util";

const ofStatus: Readonly<Record<string, Parameters<typeof styleText>[0]>> = { error: "red", done: "green", processing: "cyan", cancelled: "gray" };

export interface Paint {
  head(text: string): string;
  /** `text` is `cell`, perhaps cut. */
  cell(column: string, cell: string, text: string): string;
}

export const plain: Paint = { head: (text) => text, cell: (_column, _cell, text) => text };

export const colored: Paint = {
  head: (text) => styleText("bold", text, { validateStream: false }),
  cell(column, cell, text) {
    const color = column === "status" ? ofStatus[cell] : undefined;
    return color === undefined ? text : styleText(color, text, { validateStream: false });
  },
};
