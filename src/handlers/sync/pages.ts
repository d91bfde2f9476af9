// One page after the other, and one batch after the other: what has been stored or sent is saved as the job's checkpoint, so
// that an attempt goes on where the one before it ended.

import { z } from "zod";
import type { JobContext } from "../../outbox/define.ts";
import { sqlOf } from "../../outbox/database.ts";
import { FinalError } from "../../outbox/errors.ts";
import type { Resolve } from "../outbound/target.ts";
import type { HttpEndpoint, TableEndpoint } from "./endpoints.ts";
import type { Page } from "./http.ts";
import { push } from "./http.ts";
import type { Item } from "./items.ts";
import { listOf } from "./items.ts";
import { refusedBy } from "./refused.ts";
import type { Upserted } from "./table.ts";
import { upsert } from "./table.ts";

/** How far a sync is. */
export interface Progress {
  /** The page to go on from; null: the first one. */
  readonly next: string | null;
  /** Pages that are behind it. */
  readonly pages: number;
  /** Items of that page which have been sent. */
  readonly sent: number;
  readonly received: number;
  readonly written: number;
  readonly stale: number;
}

/** The result of a job that has stored rows; `pages` when there was more than one. */
export interface Stored extends Upserted {
  readonly pages?: number;
}

const start: Progress = { next: null, pages: 0, sent: 0, received: 0, written: 0, stale: 0 };
const checkpoint = z.object({ next: z.string().nullable(), pages: z.int(), sent: z.int(), received: z.int(), written: z.int(), stale: z.int() });
const maxPages = 100_000;
/** With less time than this left, the job rather goes on in an attempt of its own. */
const enoughMs = 15_000;

/** Where the attempt begins. What is no checkpoint of ours counts as none: everything here can be done twice. */
export function progressOf({ job }: JobContext): Progress {
  return checkpoint.safeParse(job.checkpoint).data ?? start;
}

/** Upserts page after page; the rows of each, and where to go on, are one commit. The last one is the completion. */
export async function storePages(endpoint: TableEndpoint, context: JobContext, pageAt: (url: string | null) => Promise<Page>): Promise<Stored> {
  for (let done = progressOf(context); ; ) {
    const page = await pageAt(done.next);
    const store = async (tx: unknown): Promise<Progress> => {
      const { received, written, stale } = await upsert(sqlOf(tx), endpoint, listOf(page.data));
      return { ...passed(done, page), received: done.received + received, written: done.written + written, stale: done.stale + stale };
    };
    try {
      if (page.next === null) {
        return resultOf(await context.complete(store, resultOf));
      }
      done = await context.checkpoint(store);
    } catch (error) {
      // Around the commit too: deferred constraints speak only then.
      throw refusedBy(endpoint.table, error);
    }
    goOnOrSnooze(context, done);
  }
}

/** Sends page after page, in batches if the endpoint wants them. Sent again after a crash: the last batch, or the last page. */
export async function pushPages(
  endpoint: HttpEndpoint,
  source: string,
  context: JobContext,
  { pageAt, given, resolve }: { readonly pageAt: (url: string | null) => Promise<Page>; readonly given: boolean; readonly resolve: Resolve | undefined },
): Promise<{ received: number; status: number; requests?: number }> {
  const { idempotencyKey } = context;
  let requests = 0;
  let status = 0;
  // A page that is pulled again may have other items by now: it is sent from its beginning.
  const begun = progressOf(context);
  for (let done = given ? begun : { ...begun, sent: 0 }; ; ) {
    const page = await pageAt(done.next);
    const items = listOf(page.data);
    const size = endpoint.batchSize ?? Math.max(items.length, 1);
    for (let from = done.sent; from < items.length || requests === 0; from += size) {
      const whole = size >= items.length;
      const key = done.pages === 0 && whole ? idempotencyKey : `${idempotencyKey}/${done.pages}/${from}`;
      ({ status } = await push(endpoint, source, key, whole ? page.data : items.slice(from, from + size), context, resolve));
      requests += 1;
      if (from + size < items.length) {
        done = { ...done, sent: from + size };
        await context.checkpoint(done);
        goOnOrSnooze(context, done);
      }
    }
    done = { ...passed(done, page), received: done.received + items.length };
    if (page.next === null) return { received: done.received, status, ...(requests > 1 && { requests }) };
    await context.checkpoint(done);
    goOnOrSnooze(context, done);
  }
}

function resultOf({ pages, received, written, stale }: Progress): Stored {
  return { received, written, stale, ...(pages > 1 && { pages }) };
}

function passed(done: Progress, { next }: Page): Progress {
  const pages = done.pages + 1;
  if (pages > maxPages) throw new FinalError(`Expected at most ${maxPages} pages, got another one. Does the source's last page name a next one?`);
  return { ...done, next, pages, sent: 0 };
}

function goOnOrSnooze({ deadline, snooze, log }: JobContext, { pages }: Progress): void {
  if (deadline.getTime() - Date.now() > enoughMs) return;
  log.info("Going on in another attempt, which does not count: this one's time is nearly up.", { pages });
  snooze("1s");
}

/** The data that the job itself brings, as the one page there is. */
export function onlyPage(data: Item | Item[]): (url: string | null) => Promise<Page> {
  return () => Promise.resolve({ data, next: null });
}
