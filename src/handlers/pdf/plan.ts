// What a document consists of, before anything is drawn: each template decides its plan from its data, and draw.ts
// draws any plan. So a template is a list of facts, and all of them look like one family.

import type { Item, Party } from "./data.ts";
import type { Labels } from "./labels.ts";
import type { Format, Totals } from "./money.ts";

export interface Plan {
  readonly title: string;
  readonly number: string;
  readonly from: Party;
  readonly to: Party;
  readonly toLabel: string;
  /** Shown beside the customer: number, dates. */
  readonly facts: readonly (readonly [label: string, value: string])[];
  /** Above the table. */
  readonly subject: string | null;
  readonly opening: readonly Prose[];
  readonly items: readonly Item[];
  /** The document's rate, for items without their own. */
  readonly taxPercent: number | undefined;
  readonly totals: Totals;
  readonly totalLabel: string;
  /** Below the totals. */
  readonly closing: readonly Prose[];
  readonly signature: boolean;
  readonly labels: Labels;
  readonly format: Format;
}

/** A text, with a heading or without. */
export interface Prose {
  readonly heading: string | null;
  readonly text: string;
}

/** A section for each text that is there. */
export function prose(...parts: readonly (readonly [heading: string | null, text: string | undefined])[]): Prose[] {
  return parts.flatMap(([heading, text]) => (text === undefined ? [] : [{ heading, text }]));
}

/** A fact for each value that is there. */
export function facts(...parts: readonly (readonly [label: string, value: string | undefined])[]): [string, string][] {
  return parts.flatMap(([label, value]): [string, string][] => (value === undefined ? [] : [[label, value]]));
}

