// Finds the jobs that a request to GET /api/jobs asks for, a page at a time.

import type { JobFilter } from "../outbox/filter.ts";
import { payloadValuesOf } from "../outbox/filter.ts";
import type { JobSummary } from "../outbox/inspect-jobs.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { Problem } from "./problem.ts";
import type { Answer, Asked } from "./route.ts";
import type { ListQuery } from "./routes/jobs.ts";

export async function listByRequest(outbox: Outbox, { query, caller, base }: Asked<ListQuery>): Promise<Answer> {
  const { limit = 50, after, ...given } = query;
  const user = caller?.kind === "user" ? caller.user : null;
  if (user !== null && given.owner !== undefined && given.owner !== user) throw new Problem("forbidden", "Users see their own jobs.", { path: "owner" });
  // What tells of things that a user is not shown, he cannot ask for.
  const hidden = user === null ? undefined : (["error", "fingerprint", "payload"] as const).find((name) => given[name] !== undefined);
  if (hidden !== undefined) throw new Problem("forbidden", `Users cannot look for jobs by ${hidden}.`, { path: hidden });
  const found = await outbox.list(filterOf(user === null ? given : { ...given, owner: user }), { limit, ...(after !== undefined && { after }) });
  const last = found.length === limit ? found.at(-1) : undefined;
  const next = last === undefined ? null : `${base}/api/jobs?${pageAfter(query, last.id)}`;
  return { status: 200, body: { jobs: user === null ? found : found.map(ownSummary), next }, ...(next !== null && { headers: { link: `<${next}>; rel="next"` } }) };
}

function filterOf({ key, payload, ...given }: Omit<ListQuery, "limit" | "after">): JobFilter {
  const conditions = {
    ...given,
    ...(key !== undefined && { dedupeKey: key }),
    ...(payload && { payload: Object.fromEntries(Object.entries(payload).map(([path, texts]) => [path, texts.flatMap(payloadValuesOf)])) }),
  };
  // To look at all of them does no harm; nothing is done by this filter.
  return Object.keys(conditions).length > 0 ? (conditions as JobFilter) : { all: true }; // listQuery has checked it, the filter checks it again
}

function pageAfter(query: ListQuery, last: string): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, after: last })) {
    if (typeof value === "object" && !Array.isArray(value)) for (const [path, texts] of Object.entries(value)) for (const text of texts) parameters.append(`payload.${path}`, text);
    else for (const each of [value].flat()) parameters.append(name, String(each));
  }
  return parameters.toString();
}

/** Of errors and keys a user is told nothing: they speak of the app's inside. */
export function ownSummary({ id, type, status, attempts, maxAttempts, runAt, createdAt, startedAt, finishedAt, tags, progress, progressNote }: JobSummary): Partial<JobSummary> {
  return { id, type, status, attempts, maxAttempts, runAt, createdAt, startedAt, finishedAt, tags, progress, progressNote };
}
