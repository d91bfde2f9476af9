// Waits counted in tenths of a millisecond, so that those of several windows add up without loss.

export type Waits = readonly (readonly [tenths: number, count: number])[];

export const countOf = (waits: Waits): number => waits.reduce((sum, [, count]) => sum + count, 0);

/** Milliseconds that the share `share` of all jobs has waited at most; null when there is none. */
export function percentile(windows: readonly Waits[], share: number): number | null {
  const sum = new Map<number, number>();
  for (const [tenths, count] of windows.flat()) sum.set(tenths, (sum.get(tenths) ?? 0) + count);
  const all = [...sum].sort(([one], [other]) => one - other);
  let left = Math.ceil(countOf(all) * share);
  for (const [tenths, count] of all) {
    left -= count;
    if (left <= 0) return tenths / 10;
  }
  return null;
}
