// data.sync: moves data between named endpoints of the configuration, which are HTTP APIs and tables of the database.
// Next: sync/endpoints.ts (what can be configured), sync/pages.ts (one page after the other), sync/table.ts (how a stale
// message is kept from a newer row).

import { z } from "zod";
import type { Handler, JobContext } from "../outbox/define.ts";
import { defineJob, handle } from "../outbox/define.ts";
import { FinalError } from "../outbox/errors.ts";
import { configuredAs } from "./outbound/configured.ts";
import type { Resolve } from "./outbound/target.ts";
import type { Endpoint } from "./sync/endpoints.ts";
import { checkEndpoints, namePattern } from "./sync/endpoints.ts";
import type { Page } from "./sync/http.ts";
import { pull } from "./sync/http.ts";
import type { Item } from "./sync/items.ts";
import { isData, roundedNumber } from "./sync/items.ts";
import { onlyPage, pushPages, storePages } from "./sync/pages.ts";

const name = z.string().regex(namePattern, "expected 1 to 100 printable ASCII characters");

export const dataSync = defineJob({
  type: "data.sync",
  schema: z.strictObject({
    /** Without `data`: the HTTP endpoint to pull. With `data`: a label of where it comes from. */
    source: name,
    /** The endpoint to write to. */
    target: name,
    // Taken as it is, not copied field by field: zod leaves out a field called __proto__.
    data: z.custom<Item | Item[]>(isData, "expected an object or an array of objects").optional(),
  }),
  timeout: "2m",
});

export interface DataSyncSettings {
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  /** Resolves the names in the endpoints' URLs. Default: the system's resolver. */
  readonly resolve?: Resolve;
}

/** Throws an OutboxError "CONFIGURATION" when an endpoint is unusable. */
export function dataSyncHandler({ endpoints, resolve }: DataSyncSettings): Handler {
  const byName = checkEndpoints(endpoints);

  const find = (field: "source" | "target", wanted: string) => configuredAs(byName, wanted, `${field} to be an endpoint of the configuration`);

  async function pulled(source: string, context: JobContext, url: string | null): Promise<Page> {
    const endpoint = find("source", source);
    if (endpoint.kind === "http") return await pull(source, endpoint, url, context, resolve);
    throw new FinalError(`Expected source to be an HTTP endpoint, because the job has no data of its own, got the table endpoint "${source}".`);
  }

  return handle(dataSync, async ({ source, target, data: given }, context) => {
    // Before anything is pulled: a wrong name is the same next time.
    const endpoint = find("target", target);
    const pageAt = given === undefined ? (url: string | null) => pulled(source, context, url) : onlyPage(given);
    if (endpoint.kind === "table") return await storePages(endpoint, context, pageAt);
    const exactPageAt = async (url: string | null) => {
      const page = await pageAt(url);
      const rounded = given === undefined ? roundedNumber(page.data, "data") : null;
      if (rounded === null) return page;
      throw new FinalError(`Expected whole numbers up to 2^53 from "${source}", got a greater one in ${rounded}, which JSON numbers round. Have it sent as a string.`);
    };
    return await pushPages(endpoint, source, context, { pageAt: exactPageAt, given: given !== undefined, resolve });
  });
}
