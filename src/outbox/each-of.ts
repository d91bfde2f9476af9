/** What is given as one or as a list of them, as a list without holes: `map` and `every` would pass over a hole unchecked. */
export function eachOf(given: unknown): unknown[] {
  return Array.isArray(given) ? Array.from<unknown>(given) : [given];
}
