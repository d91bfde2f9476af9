// What the engine promises about jobs, as plain data and arithmetic: no SQL, no clock, no waiting. The table must equal
// this after every step, whoever did what before. Next: engine-model.test.ts (the steps).

export interface ModelJob {
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  status: "pending" | "processing" | "done" | "error" | "cancelled";
  attempts: number;
  maxAttempts: number;
  suspect: boolean;
  finished: boolean;
  due: boolean;
  /** As `utc()` writes it. Null: the clock has set it anew, and the table is asked once for when that was. */
  runAt: string | null;
  lockedBy: string | null;
  token: number | null;
  readonly dedupeKey: string | null;
  /** The same for all jobs of one key: a mixture would make a redrive of several depend on their order. */
  held: "until-done" | "window" | "window over" | "forever" | null;
  /** Null: which of several old holders of a key has it now is up to the order in which they were redriven. */
  released: boolean | null;
  /** The ledger of attempts: "1 retried". */
  ledger: string[];
  /** Attempts that were begun, and those of them that were given back. */
  starts: number;
  givenBack: number;
  /** Times that ctx.complete committed. */
  completions: number;
  /** Somebody has taken it from a worker by hand: the maximum of attempts is theirs to answer for. */
  takenByHand: boolean;
}

export interface ModelLease {
  readonly jobId: string;
  readonly worker: string;
  readonly token: number;
}

export interface ModelLane {
  readonly type: string;
  readonly priority: number;
  readonly from: { readonly runAt: string; readonly id: string };
}

export type ModelOutcome = "done" | "retried" | "retried later" | "dead" | "released";

const isTerminal = ({ status }: ModelJob) => status === "done" || status === "error" || status === "cancelled";

export function createModel() {
  const jobs = new Map<string, ModelJob>();
  /** Workers that have a row, and whether they have fallen silent. */
  const workers = new Map<string, { silent: boolean }>();

  const all = () => [...jobs.values()];
  const holderOf = (type: string, key: string) => all().find((job) => job.type === type && job.dedupeKey === key && job.released === false);
  const holds = (job: ModelJob) => job.held === "window" || job.held === "forever" || (job.held === "until-done" && !isTerminal(job));
  const inOrder = (one: ModelJob, other: ModelJob) => (`${one.runAt} ${one.id}` < `${other.runAt} ${other.id}` ? -1 : 1);
  const fits = (job: ModelJob | undefined, lease: ModelLease): job is ModelJob =>
    job?.status === "processing" && job.lockedBy === lease.worker && job.token === lease.token;

  function begin(job: ModelJob, worker: string, token: number): void {
    Object.assign(job, { status: "processing", attempts: job.attempts + 1, lockedBy: worker, token, starts: job.starts + 1 });
  }

  function giveBack(job: ModelJob): void {
    Object.assign(job, { status: "pending", attempts: job.attempts - 1, givenBack: job.givenBack + 1 });
  }

  return {
    jobs,
    workers,

    /** The job that holds the key already: nothing is stored then. */
    keyHolder(type: string, key: string | null): string | null {
      const holder = key === null ? undefined : holderOf(type, key);
      return holder !== undefined && holds(holder) ? holder.id : null;
    },

    enqueue(job: Pick<ModelJob, "id" | "type" | "priority" | "maxAttempts" | "due" | "dedupeKey" | "held">): void {
      const before = job.dedupeKey === null ? undefined : holderOf(job.type, job.dedupeKey);
      if (before !== undefined) before.released = true;
      jobs.set(job.id, {
        ...{ status: "pending", attempts: 0, suspect: false, finished: false, runAt: null, lockedBy: null, token: null, released: false },
        ...{ ledger: [], starts: 0, givenBack: 0, completions: 0, takenByHand: false },
        ...job,
      });
    },

    /** The ids that a claim takes: lane after lane in the order given, oldest first in each, behind its cursor. */
    claim(worker: string, token: number, lanes: readonly ModelLane[], limit: number): string[] {
      if (!workers.has(worker)) return [];
      const taken = lanes
        .flatMap(({ type, priority, from }) =>
          all()
            .filter((job) => job.status === "pending" && !job.suspect && job.due && job.type === type && job.priority === priority)
            .filter((job) => `${job.runAt} ${job.id}` > `${from.runAt} ${from.id}`)
            .sort(inOrder),
        )
        .slice(0, limit);
      for (const job of taken) begin(job, worker, token);
      return taken.map(({ id }) => id);
    },

    claimSuspect(worker: string, token: number): string[] {
      const [first] = workers.has(worker) ? all().filter((job) => job.status === "pending" && job.suspect && job.due).sort(inOrder) : [];
      if (first !== undefined) begin(first, worker, token);
      return first === undefined ? [] : [first.id];
    },

    /** A claim whose answer never arrived gives back what it took. */
    unclaim(worker: string, token: number): void {
      for (const job of all()) if (fits(job, { jobId: job.id, worker, token })) giveBack(job);
    },

    /** Whether the outcome is written: only while the fence holds. */
    settle(lease: ModelLease, outcome: ModelOutcome): boolean {
      const job = jobs.get(lease.jobId);
      if (!fits(job, lease)) return false;
      if (outcome === "released") {
        giveBack(job);
        return true;
      }
      job.suspect = false;
      if (outcome === "done") Object.assign(job, { status: "done", finished: true });
      else if (outcome === "dead") Object.assign(job, { status: "error", finished: true });
      else Object.assign(job, { status: "pending", runAt: null, due: outcome === "retried" });
      if (outcome !== "done") job.ledger.push(`${job.attempts} ${outcome === "dead" ? "dead" : "retried"}`);
      return true;
    },

    bury(): void {
      for (const [id, { silent }] of workers) if (silent) workers.delete(id);
    },

    /** The ids of the jobs whose worker has no row any more: due again as suspects, or dead letters. */
    rescue(): string[] {
      const lost = all().filter((job) => job.status === "processing" && !workers.has(job.lockedBy ?? ""));
      for (const job of lost) {
        const usedUp = job.attempts >= job.maxAttempts;
        Object.assign(job, { status: usedUp ? "error" : "pending", finished: usedUp, suspect: !usedUp });
        job.ledger.push(`${job.attempts} lost`);
      }
      return lost.map(({ id }) => id);
    },

    /** The reset by hand of all dead letters. False: it is refused as a whole, for a key has been taken over since. */
    reset(): boolean {
      const dead = all().filter(({ status }) => status === "error");
      const wants = dead.filter(({ dedupeKey, released }) => dedupeKey !== null && released === true);
      const becomesOpen = (job: ModelJob) => holds(job) || (job.held === "until-done" && dead.includes(job));
      const rivals = ({ type, dedupeKey }: ModelJob) => wants.filter((job) => job.type === type && job.dedupeKey === dedupeKey);
      const taken = wants.some((job) => {
        const holder = holderOf(job.type, job.dedupeKey ?? "");
        return (holder !== undefined && becomesOpen(holder)) || (rivals(job).length > 1 && job.held === "until-done");
      });
      if (taken) return false;
      for (const job of wants) {
        const holder = holderOf(job.type, job.dedupeKey ?? "");
        if (holder !== undefined && !wants.includes(holder)) holder.released = true;
        job.released = rivals(job).length > 1 ? null : false;
      }
      for (const job of dead) {
        Object.assign(job, { status: "pending", finished: false, runAt: null, maxAttempts: Math.max(job.maxAttempts, job.attempts + 1) });
      }
      return true;
    },

    /** Time passes: what was delayed is due, and windows of dedupe keys are over. */
    wait(): void {
      for (const job of all()) {
        if (job.held === "window") job.held = "window over";
        if (!job.due) Object.assign(job, { due: true, runAt: null });
      }
    },

    /** The ids of the finished jobs that nothing keeps. */
    prune(): string[] {
      const gone = all().filter((job) => isTerminal(job) && job.finished && !(job.dedupeKey !== null && job.released === false && (job.held === "window" || job.held === "forever")));
      for (const { id } of gone) jobs.delete(id);
      return gone.map(({ id }) => id);
    },
  };
}

export type Model = ReturnType<typeof createModel>;
