// Enqueues what a request to POST /api/jobs has sent: one job, or a list of them in one transaction.

import type { Contract } from "../outbox/define.ts";
import type { EnqueueOptions, JobRequest } from "../outbox/enqueue.ts";
import { checkJob } from "../outbox/enqueue.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { Caller } from "./caller.ts";
import { Problem, problemOf } from "./problem.ts";
import type { Answer, Asked } from "./route.ts";
import type { NewJob } from "./routes/jobs.ts";

export interface JobsParts {
  readonly outbox: Outbox;
  /** What may be enqueued, by type. */
  readonly contracts: ReadonlyMap<string, Contract>;
  /** What users may enqueue. */
  readonly userTypes: ReadonlySet<string>;
}

export async function enqueueByRequest({ outbox, contracts, userTypes }: JobsParts, { body, caller, base, headers }: Asked<unknown, NewJob | { jobs: NewJob[] }>): Promise<Answer> {
  const key = headers.get("idempotency-key");
  if ("jobs" in body) {
    if (key !== null) throw new Problem("invalid_request", "Expected the header Idempotency-Key with one job, got it with a list: give each its own dedupeKey.", { path: "Idempotency-Key" });
    const requests = body.jobs.map((job, index) => requestOf(job, { contracts, userTypes, caller, at: `jobs[${index}].` }));
    requests.forEach(checkAt);
    const jobs = await outbox.enqueueManyAlone(requests);
    return { status: jobs.every(({ deduplicated }) => deduplicated) ? 200 : 201, body: { jobs } };
  }
  const { contract, payload, options } = requestOf(withKey(body, key), { contracts, userTypes, caller, at: "" });
  const stored = await outbox.enqueueAlone(contract, payload, options);
  return { status: stored.deduplicated ? 200 : 201, body: stored, headers: { location: `${base}/api/jobs/${stored.id}` } };
}

/** Before anything is stored, so that it can be said which of them it is. */
function checkAt(request: JobRequest, index: number): void {
  try {
    checkJob(request);
  } catch (error) {
    const { code, message, path = "payload", cause } = problemOf(error);
    throw new Problem(code, message, { path: `jobs[${index}].${path}`, cause });
  }
}

function withKey(job: NewJob, key: string | null): NewJob {
  if (key === null) return job;
  if (job.dedupeKey !== undefined && job.dedupeKey !== key) throw new Problem("invalid_request", "Expected the header Idempotency-Key and dedupeKey of the body to be the same, got two keys.", { path: "dedupeKey" });
  if (key.length < 1 || key.length > 500) throw new Problem("invalid_request", `Expected the header Idempotency-Key to have 1 to 500 characters, got ${key.length}.`, { path: "Idempotency-Key" });
  return { ...job, dedupeKey: key };
}

function requestOf({ type, payload, ...given }: NewJob, { contracts, userTypes, caller, at }: Omit<JobsParts, "outbox"> & { readonly caller: Caller | null; readonly at: string }): JobRequest {
  const contract = contracts.get(type);
  const user = caller?.kind === "user" ? caller.user : null;
  if (user !== null && !userTypes.has(type)) throw new Problem("forbidden", "Users may not enqueue jobs of this type.", { path: `${at}type` });
  if (contract === undefined) throw new Problem("invalid_request", `Expected a type that is registered here (${[...contracts.keys()].join(", ") || "none is"}), got ${JSON.stringify(type)}.`, { path: `${at}type` });
  const { runAt, ...options } = given;
  if (user === null) return { contract, payload, options: { ...options, ...(runAt !== undefined && { runAt: new Date(runAt) }) } as EnqueueOptions }; // checked by newJob, and again by the enqueue
  const { dedupeKey, ...others } = given;
  const [refused] = Object.keys(others);
  if (refused !== undefined) throw new Problem("forbidden", `Users give type and payload, and nothing else; got ${refused}.`, { path: `${at}${refused}` });
  // A key of a user's is his own: by another's he could find that one's job, or keep it from being stored.
  return { contract, payload, options: { owner: user, ...(dedupeKey !== undefined && { dedupeKey: `${user}/${dedupeKey}` }) } };
}
