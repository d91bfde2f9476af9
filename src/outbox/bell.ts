// Lets the pump sleep until something has happened. A ring between `silence` and `wait` is not lost.

export interface Bell {
  readonly ring: () => void;
  /** Forgets earlier rings. */
  readonly silence: () => void;
  /** Comes back with the next ring, at once if there was one since `silence`, or when the time is over. True: it has rung. */
  readonly wait: (ms: number) => Promise<boolean>;
}

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    silence() {
      rung = false;
    },
    async wait(ms) {
      if (rung) return true;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = null;
      return rung;
    },
  };
}
