// Names are looked up for real, because where a name leads may be why a job fails. One that is not known here is taken for
// some public address, so that the handler goes on: nothing is connected to it anyway.

import dns from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import { setTimeout as sleep } from "node:timers/promises";

const anyPublicAddress: LookupAddress = { address: "93.184.215.14", family: 4 };
const lookupMs = 3000;

/** Gives back how to undo it. */
export function sealNames({ isSealed, onUnknown }: { readonly isSealed: () => boolean; readonly onUnknown: (name: string) => void }): () => void {
  const { lookup } = dns;
  const lookupLater = dns.promises.lookup;

  async function find(name: string): Promise<LookupAddress[]> {
    try {
      const found = await Promise.race([lookupLater(name, { all: true, verbatim: true }), sleep(lookupMs, null, { ref: false })]);
      if (found !== null) return found;
    } catch {
      // What the resolver says is of no interest: it is told that the name is not known.
    }
    onUnknown(name);
    return [anyPublicAddress];
  }

  const fitting = (found: readonly LookupAddress[], options: unknown) => {
    const { all = false, family = 0 }: LookupOptions = typeof options === "object" && options !== null ? options : {};
    const wanted = found.filter((each) => family === 0 || family === each.family || family === `IPv${each.family}`);
    const some = wanted.length > 0 ? wanted : found;
    return all ? some : (some[0] ?? anyPublicAddress);
  };

  dns.promises.lookup = ((name: string, options?: unknown) => (isSealed() ? find(name).then((found) => fitting(found, options)) : (Reflect.apply(lookupLater, dns.promises, [name, options]) as Promise<unknown>))) as typeof lookupLater; // of all its overloads
  dns.lookup = Object.assign(
    ((name: string, ...rest: unknown[]) => {
      const callback = rest.at(-1);
      if (!isSealed() || typeof callback !== "function") return void Reflect.apply(lookup, dns, [name, ...rest]);
      void find(name).then((found) => {
        const given = fitting(found, rest[0]);
        if (Array.isArray(given)) Reflect.apply(callback as () => void, undefined, [null, given]);
        else Reflect.apply(callback as () => void, undefined, [null, (given as LookupAddress).address, (given as LookupAddress).family]);
      });
    }) as typeof lookup, // of all its overloads
    { __promisify__: lookup.__promisify__ },
  );
  return () => {
    dns.lookup = lookup;
    dns.promises.lookup = lookupLater;
  };
}
