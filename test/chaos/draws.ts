// Random choices that are no choices: the same seed draws the same. The generator is mulberry32.

export interface Draws {
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  oneOf<Value>(values: readonly Value[]): Value;
  /** By weight: `{ return: 3, throw: 1 }` gives "return" three times of four. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name;
  /** True so many times in a hundred. */
  percent(chance: number): boolean;
}

export function drawsOf(seed: number): Draws {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    between,
    oneOf(values) {
      const value = values[between(0, values.length - 1)];
      if (value === undefined) throw new RangeError("expected a list with something to choose from, got an empty one");
      return value;
    },
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const names = Object.keys(weights) as Name[]; // the keys of a record of these names
      let left = next() * names.reduce((sum, name) => sum + weights[name], 0);
      for (const name of names) if ((left -= weights[name]) < 0) return name;
      return names[names.length - 1] ?? this.oneOf(names);
    },
    percent: (chance) => next() * 100 < chance,
  };
}
