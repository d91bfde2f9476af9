// The other side of /api/jobs/process: asks a server to run what is due, and may wait for one job.

import type { Duration } from "../outbox/duration.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { Status } from "../outbox/job.ts";

export interface Trigger {
  /** Where the handler is mounted: "http://localhost:3000" or "https://example.com/jobs-admin". */
  readonly url: string;
  /** Of the role run. */
  readonly token: string;
}

export interface TriggerOptions extends Trigger {
  /** Only these types. Default: all that are run there. */
  readonly types?: readonly string[];
  /** How long jobs are run there, at most. Default: as the server is set. */
  readonly maxTime?: Duration;
  /** How long to wait for the answer. Default: 60,000. */
  readonly timeoutMs?: number;
}

/** What became of the job that was waited for. */
export interface TriggeredJob {
  readonly id: string;
  /** Not ended: its time was over before. */
  readonly status: Status;
  /** What its handler returned, without its secrets. */
  readonly result: unknown;
  readonly lastError: string | null;
}

/** After this the request has long left, and whether it is answered is no concern of who asked. */
const sentWithinMs = 250;

/**
 * Has a server run what is due. With `waitForJobId` it comes back with that job once it has ended, or with how far it is
 * when `timeoutMs` are over. Without, it comes back as soon as the request has left, and never fails: there is a worker, a
 * cron job or the next trigger behind it. Call it after the transaction has committed, or there is nothing to find yet.
 */
export async function triggerWorker(options: TriggerOptions & { readonly waitForJobId: string }): Promise<TriggeredJob>;
export async function triggerWorker(options: TriggerOptions): Promise<undefined>;
export async function triggerWorker({ waitForJobId, ...options }: TriggerOptions & { readonly waitForJobId?: string }): Promise<TriggeredJob | undefined> {
  const { timeoutMs = 60_000 } = options;
  if (waitForJobId !== undefined) return jobIn(await ask({ ...options, timeoutMs }, { waitForJobId, maxTime: options.maxTime ?? Math.max(1, timeoutMs - 1000) }));
  let timer: NodeJS.Timeout | undefined;
  const answered = ask({ ...options, timeoutMs }, options.maxTime === undefined ? {} : { maxTime: options.maxTime }).then(
    () => undefined,
    () => undefined, // nobody waits for it
  );
  await Promise.race([answered, new Promise((resolve) => (timer = setTimeout(resolve, sentWithinMs)))]);
  clearTimeout(timer);
  return undefined;
}

async function ask({ url, token, types, timeoutMs }: TriggerOptions & { readonly timeoutMs: number }, more: Record<string, unknown>): Promise<unknown> {
  const response = await fetch(`${url.replace(/\/+$/, "")}/api/jobs/process`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ action: "drain", ...(types !== undefined && { types }), ...more }),
    redirect: "error", // the token is for nobody else
    signal: AbortSignal.timeout(timeoutMs),
  });
  const said: unknown = await response.json().catch(() => null);
  if (response.ok) return said;
  const detail = typeof said === "object" && said !== null && "detail" in said && typeof said.detail === "string" ? said.detail : "no reason given";
  throw new OutboxError(response.status === 404 ? "NOT_FOUND" : response.status === 409 ? "CONFLICT" : "CONFIGURATION", `Expected the server to run jobs, got ${response.status}: ${detail}`);
}

function jobIn(said: unknown): TriggeredJob {
  if (typeof said === "object" && said !== null && "job" in said && typeof said.job === "object" && said.job !== null) return said.job as TriggeredJob; // as the server's own document says
  throw new OutboxError("CONFIGURATION", "Expected the answer to have the job that was waited for, got another one. Is url where the handler of postcommit is mounted?");
}
