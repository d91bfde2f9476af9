// A canary is a name that every secret of a test holds. What was written is searched for it, decoded too.

/** In every secret. */
export const canary = "c4nary";

/** Where the canary is in `traced`, with what stands before it: in plain letters, half of it, or in something that is base64. */
export function leaksIn(traced: string): string[] {
  const encoded = [...traced.matchAll(/[\w+/-]{8,}/g)].flatMap(([word]) => [0, 1, 2, 3].map((skip) => Buffer.from(word.slice(skip), "base64").toString("latin1")));
  const around = (found: string) => [...found.matchAll(/.{0,60}(?:c4nar|4nary)/gis)].map(([leak]) => leak);
  return [...around(traced), ...encoded.flatMap(around)];
}
