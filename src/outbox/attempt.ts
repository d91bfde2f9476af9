// One attempt at a job, and what can end it from outside: its time limit, a lost lease, a worker that stops.

/** Why an attempt is ended from outside. The reason of the abort, so that handlers and their libraries see it too. */
export class AttemptEnded extends Error {
  override readonly name = "AttemptEnded";
  readonly why: "timed_out" | "stopping" | "lease_lost" | "cancelled";
  constructor(why: AttemptEnded["why"], message: string) {
    super(message);
    this.why = why;
  }
}

/**
 * Ends all attempts of a worker at once. A set of functions and no AbortSignal: a job would otherwise spend more on
 * listening for its end than a short handler takes.
 */
export interface EndOfAttempts {
  readonly reason: AttemptEnded | null;
  /** Called with the reason when it comes. Gives back how to listen no longer. */
  listen(listener: (reason: AttemptEnded) => void): () => void;
  /** No more attempts are to be ended by it: takes its hands off the signals, which may live longer. */
  leave(): void;
}

/** Ended by whichever signal is aborted first; their reasons are AttemptEnded. */
export function endOfAttempts(...signals: readonly AbortSignal[]): EndOfAttempts {
  const listeners = new Set<(reason: AttemptEnded) => void>();
  const left = new AbortController();
  let reason: AttemptEnded | null = null;
  const end = (signal: AbortSignal) => {
    if (reason !== null) return;
    reason = signal.reason as AttemptEnded; // set by this package alone
    for (const listener of [...listeners]) listener(reason);
  };
  for (const signal of signals) {
    if (signal.aborted) end(signal);
    else signal.addEventListener("abort", () => end(signal), { once: true, signal: left.signal });
  }
  return {
    get reason() {
      return reason;
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    leave: () => left.abort(),
  };
}

/** One attempt's own end: its time limit, or the end of all. Its signal is made when the handler asks for it. */
export class Attempt {
  reason: AttemptEnded | null = null;
  /** Told of the end; set by whoever waits for it. */
  onEnd: (reason: AttemptEnded) => void = () => undefined;
  #controller: AbortController | null = null;

  end(reason: AttemptEnded): void {
    if (this.reason !== null) return;
    this.reason = reason;
    this.#controller?.abort(reason);
    this.onEnd(reason);
  }

  /** What `work` comes to, or the reason of the attempt's end if that is sooner. */
  orEnd<Value>(work: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.onEnd = reject;
      if (this.reason !== null) reject(this.reason);
      work.then(resolve, reject); // when the attempt has ended first, what it still comes to is of no interest
    });
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== null) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }
}
