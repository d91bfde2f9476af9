// Three jobs, one program, and a network that fails at one message. A trial runs that in a database of its own and says what
// was broken of what is promised. The loop over all messages is in main.ts, a slice of it in nth-message.test.ts.

import { setTimeout as sleep } from "node:timers/promises";
import type { Ended, Running } from "../support/cli.ts";
import { appCli } from "../support/cli.ts";
import type { TestDatabase, TestServer } from "../support/databases.ts";
import { createDatabase } from "../support/databases.ts";
import { layEvidence, violations } from "../support/evidence.ts";
import type { Fault, Passed } from "../support/message-proxy.ts";
import { messageProxy } from "../support/message-proxy.ts";

export type Program = "drain" | "worker";

export interface Trial {
  /** Where the network failed; null: that message was never sent. */
  readonly at: Passed | null;
  /** All messages of the program. */
  readonly messages: readonly Passed[];
  /** Sentences; none when all was kept. */
  readonly broken: readonly string[];
  /** From the moment when the network was back until nothing was left to do. */
  readonly recoveredMs: number;
  /** Of the program, and of those that were started after it. */
  readonly exitCodes: readonly (number | null)[];
  readonly stderr: string;
  readonly jobs: readonly JobAtLast[];
}

/** One of the three, when nothing runs any more. */
export interface JobAtLast {
  readonly then: string;
  readonly status: string;
  readonly attempts: number;
  /** What ctx.complete has committed. */
  readonly completions: number;
  /** What ctx.effect has done outside. */
  readonly sent: number;
}

export const leaseMs = 2000;
const pollMs = 200;
/** For the start of processes, on a machine that has much else to do. */
const slackMs = 20_000;
/** RELIABILITY: when faults stop, all is drained within the lease, two polls and the backoff. */
const recoveryMs = leaseMs + 2 * pollMs + slackMs;
const cutMs = 300;
const awayMs = leaseMs * 1.6;
/** A worker beats and polls so long after its jobs are done, and only then it is stopped. */
const idleMs = 900;
/** More than a drain is patient with a database that does not answer, and than a worker takes for its farewell. */
const endsMs = 45_000;

/** A database with the three jobs, to be copied for every trial. Gives back its name. */
export async function prepareJobs(server: TestServer): Promise<{ readonly template: string; close(): Promise<void> }> {
  const database = await createDatabase(server, `template ${server.template}`);
  await layEvidence(database.pool);
  // One that commits with its completion, one with something outside that takes longer than a beat, one that fails at first.
  const jobs = [{ then: "complete" }, { then: "once", ms: 900 }, { then: "throw-until", attempt: 2 }];
  for (const [index, payload] of jobs.entries()) {
    await database.pool.query(
      `with job as (insert into outbox (type, payload, priority, max_attempts) values ('effect', $1, $2, 10) returning id)
       insert into orders select id from job`,
      [JSON.stringify(payload), jobs.length - index], // so they are run in this order
    );
  }
  await database.pool.end(); // while anybody is connected, it cannot be copied
  return { template: new URL(database.url).pathname.slice(1), close: () => database.close() };
}

const flags = ["--lease", `${leaseMs}ms`, "--batch", "1", "--concurrency", "1"];
const argsOf: Record<Program, readonly string[]> = {
  drain: ["jobs:drain", ...flags],
  worker: ["jobs:worker", ...flags, "--poll", `${pollMs}ms`],
};

/** `extra`: flags for the program, which win over those that it has. */
export async function tryOut(server: TestServer, template: string, program: Program, fault: Fault | null, extra: readonly string[] = []): Promise<Trial> {
  const database = await createDatabase(server, `template ${template}`);
  const proxied = await messageProxy(database.url, fault);
  const running = appCli([...argsOf[program], ...extra], { DATABASE_URL: proxied.url, EFFECTS_URL: database.url });
  const broken: string[] = [];
  try {
    const stopping = program === "worker" ? stopWhenDone(database, running) : null;
    const at = await Promise.race([proxied.failed, running.ended.then(() => null)]);
    if (at !== null) await sleep(fault?.how === "cut" ? cutMs : awayMs);
    proxied.restore();
    const restoredAt = performance.now();
    // The fault may also come while the worker says goodbye.
    if (stopping !== null && !(await within(recoveryMs, stopping.done))) broken.push(`the worker has not run all jobs within ${recoveryMs} ms after the network was back`);
    if (stopping !== null && broken.length > 0) running.child.kill("SIGTERM");
    if (!(await within(endsMs, running.ended))) broken.push(`the program has not ended within ${endsMs} ms`);
    running.child.kill("SIGKILL");
    const ended = await running.ended;
    broken.push(...untruths(program, ended, await open(database)));
    const next = await drainTheRest(database);
    broken.push(...next.broken, ...(await violations(database.pool, { atRest: next.broken.length === 0 })));
    return { at, messages: proxied.passed, broken, recoveredMs: performance.now() - restoredAt, exitCodes: [ended.code, ...next.exitCodes], stderr: ended.stderr, jobs: await jobsAtLast(database) };
  } finally {
    running.child.kill("SIGKILL");
    await running.ended;
    await proxied.close();
    await database.close();
  }
}

/** How many jobs are not done. None of the three may become a dead letter. */
async function open(database: TestDatabase): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>("select count(*)::integer from outbox where status <> 'done'");
  return rows[0]?.count ?? Number.NaN;
}

async function jobsAtLast(database: TestDatabase): Promise<JobAtLast[]> {
  const { rows } = await database.pool.query<JobAtLast>(
    `select payload ->> 'then' as then, status, attempts, (select count(*)::integer from completions where job = id) as completions, (select count(*)::integer from sent where job = id) as sent
     from outbox order by priority desc`,
  );
  return rows;
}

/** `done` when all jobs are, or the worker has ended. Then it may beat and poll for a while, and is stopped. */
function stopWhenDone(database: TestDatabase, { child }: Running): { readonly done: Promise<void> } {
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const done = (async () => {
    while (!hasEnded() && (await open(database)) > 0) await sleep(20);
  })();
  void done.then(() => sleep(idleMs)).then(() => child.kill("SIGTERM"), () => undefined);
  return { done };
}

/** What cron does: again and again, until nothing is left. */
async function drainTheRest(database: TestDatabase): Promise<{ readonly exitCodes: (number | null)[]; readonly broken: string[] }> {
  const exitCodes: (number | null)[] = [];
  const startedAt = performance.now();
  while ((await open(database)) > 0) {
    if (performance.now() - startedAt > recoveryMs) return { exitCodes, broken: [`drains have not run all jobs within ${recoveryMs} ms`] };
    const { code, stderr } = await appCli(argsOf.drain, { DATABASE_URL: database.url, EFFECTS_URL: database.url }).ended;
    exitCodes.push(code);
    if (code !== 0) return { exitCodes, broken: [`a drain without any fault ended with ${code}: ${stderr}`] };
    await sleep(pollMs);
  }
  return { exitCodes, broken: [] };
}

const unreachable = 69;

/** I8: the exit code says what happened, and stderr says it in sentences. */
function untruths(program: Program, { code, signal, stderr }: Ended, left: number): string[] {
  const said: string[] = [];
  if (code !== 0 && code !== unreachable) said.push(`it ended with ${code ?? signal}, expected 0 or ${unreachable}`);
  if (program === "drain" && code === 0 && left > 0) said.push(`it ended with 0, and ${left} of its jobs are left undone`);
  if (program === "worker" && code !== 0) said.push("the worker did not outlive the fault");
  if (code !== 0 && stderr.trim() === "") said.push(`it ended with ${code} and said nothing`);
  if (/^\s+at .*[:(]/m.test(stderr)) said.push("there is a stack trace on stderr");
  if (/unhandled|undefined|\[object/i.test(stderr)) said.push("stderr is not readable");
  return said;
}

async function within(ms: number, what: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const inTime = await Promise.race([what.then(() => true), sleep(ms, false, { signal: timer.signal }).catch(() => false)]);
  timer.abort();
  return inTime;
}
