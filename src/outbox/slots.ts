// Which slots of a schedule have come, and which of them are to be fired. Arithmetic alone: no clock, no database.
// Next: fire.ts.

/** The first slot strictly after an instant; null when there is none. The cron library stands behind it, at the edge. */
export type NextAfter = (after: Date) => Date | null;

export const missedPolicies = ["none", "last", "all"] as const;
export type Missed = (typeof missedPolicies)[number];

/** A slot that nobody has fired for so long is missed, also when the next one has not come yet. */
export const toleranceMs = 600_000;
/** Of more missed slots than this, only the newest are fired. */
export const maxMissed = 1000;
/** Where the search for the slot before another one begins; it goes on at twice the distance. */
const firstStepMs = 60_000;

export interface Timing {
  readonly nextAfter: NextAfter;
  readonly missed: Missed;
}

/**
 * The slots to be fired, oldest first and `room` at most, of those between `from` and `now`, both included; `next` is
 * where to go on. "last": the newest, however late. "none": the newest, if it is not missed. "all": every one.
 */
export function slotsToFire({ nextAfter, missed }: Timing, from: Date, now: Date, room: number): { slots: Date[]; next: Date | null } {
  const after = guarded(nextAfter);
  const [first, last] = [from.getTime(), now.getTime()];
  const come = missed === "all" ? everySlot(after, first, last) : newestSlots(after, first, last, 1);
  const wanted = missed === "none" ? come.filter((slot) => last - slot <= toleranceMs) : come;
  const next = wanted[room] ?? after(last);
  return { slots: wanted.slice(0, room).map((slot) => new Date(slot)), next: next === null ? null : new Date(next) };
}

type After = (ms: number) => number | null;

/** A cron library that came back with the same moment, or an earlier one, would keep us here for ever. */
function guarded(nextAfter: NextAfter): After {
  return (ms) => {
    const next = nextAfter(new Date(ms))?.getTime() ?? null;
    if (next === null || next > ms) return next;
    throw new RangeError(`Expected the slot after ${new Date(ms).toISOString()} to be later, got ${Number.isNaN(next) ? "an invalid date" : new Date(next).toISOString()}.`);
  };
}

function everySlot(after: After, first: number, last: number): number[] {
  const slots: number[] = [];
  for (let slot = after(first - 1); slot !== null && slot <= last; slot = after(slot)) {
    slots.push(slot);
    if (slots.length > maxMissed) return newestSlots(after, first, last, maxMissed);
  }
  return slots;
}

/** Found backwards: walking through the 31 million slots of a schedule of seconds after a year would take hours. */
function newestSlots(after: After, first: number, last: number, count: number): number[] {
  const slots: number[] = [];
  let before = last + 1;
  let stepMs = firstStepMs;
  while (slots.length < count) {
    const slot = slotBefore(after, first, before, stepMs);
    if (slot === null) break;
    slots.unshift(slot);
    stepMs = before - slot; // most schedules are regular: the one before is as far away
    before = slot;
  }
  return slots;
}

/** The newest slot from `first` on that is earlier than `before`. `after` never goes back, so halving finds it. */
function slotBefore(after: After, first: number, before: number, firstStep: number): number | null {
  const earlierSlot = (ms: number) => {
    const slot = after(ms);
    return slot !== null && slot < before ? slot : null;
  };
  let none = before - 1; // after this moment there is no slot before `before`
  let found: number | null = null;
  for (let stepMs = firstStep; found === null; stepMs *= 2) {
    if (none < first) return null;
    const from = Math.max(first, before - stepMs) - 1;
    found = earlierSlot(from);
    if (found === null) none = from;
  }
  for (let later = earlierSlot(found); later !== null; later = earlierSlot(found)) {
    found = later;
    const middle = Math.floor((found + none) / 2);
    const half = earlierSlot(middle);
    if (half === null) none = middle;
    else found = half;
  }
  return found;
}
