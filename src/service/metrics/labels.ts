// Which names become values of a label. Every value is a series that Prometheus keeps for weeks, and a type may be
// anything that somebody has inserted: only so many are told apart, the others are one.

export interface BoundedNames {
  /** The name itself, or "other" when there are too many. The same answer for ever. */
  labelOf(name: string): string;
  /** All labels that were given out, so that what is no more can be shown as 0 and not as a gap. */
  known(): string[];
}

export const otherName = "other";

/** `own` are told apart before any that come later. */
export function boundedNames(own: readonly string[], most: number): BoundedNames {
  const known = new Set(own.slice(0, most));
  let others = false;
  return {
    labelOf(name) {
      if (known.has(name)) return name;
      if (known.size < most) {
        known.add(name);
        return name;
      }
      others = true;
      return otherName;
    },
    known: () => [...new Set([...known, ...(others ? [otherName] : [])])],
  };
}
