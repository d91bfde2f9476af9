// One look at the database for all who ask at the same moment, and for a while after: as long as it took, at least, so
// that whoever asks all the time keeps the database busy for half of the time at most.

/** `look`, and what it found for `leastMs` or as long as it took; a failure is not kept. */
export function sharedLook<Value>(look: () => Promise<Value>, leastMs: number): () => Promise<Value> {
  let latest: { readonly found: Promise<Value>; goodUntil: number } | null = null;
  return () => {
    const startedAt = performance.now();
    if (latest !== null && startedAt < latest.goodUntil) return latest.found;
    const mine = { found: look(), goodUntil: Number.POSITIVE_INFINITY };
    latest = mine;
    mine.found.then(
      () => (mine.goodUntil = performance.now() + Math.max(leastMs, performance.now() - startedAt)),
      () => (mine.goodUntil = 0),
    );
    return mine.found;
  };
}
