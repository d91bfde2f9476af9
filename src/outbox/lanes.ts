// What a worker knows of the lanes, and from where it claims next. A cursor is a hint, never the truth: jobs appear behind
// it as a matter of course, because a job becomes visible when its transaction commits and is due since it was enqueued.
// So a cursor is followed only while claims come back full; everything else begins with a look (look.ts).

import type { Look, Question } from "./look.ts";
import type { Cursor, Lane } from "./store/exchange.ts";
import { compareCursors } from "./store/exchange.ts";

interface KnownLane extends Lane {
  /** The low-water mark: whatever is pending before it has come too late to be expected, and is found by a deep look. */
  mark: Cursor;
  /** Where the next claim begins; null: no due job is known of. */
  next: Cursor | null;
  /** How many jobs lie between the place where the cursor was last set back and the cursor, */
  passed: number;
  /** and up to the end of what the claims under way are expected to take. */
  spoken: number;
  free: boolean;
}

const beginning = "-infinity";
const zeroId = "00000000-0000-0000-0000-000000000000";
const none: Cursor = { runAt: beginning, id: zeroId };
const bounds = { below: 32_768, above: -32_769 };

export interface Offer {
  readonly lanes: readonly (Lane & { readonly from: Cursor; readonly skip: number })[];
  /** What the claim is expected to take of its first lane ends there, counted like `spoken`. */
  readonly end: number;
  /** How often cursors had been set back by then. */
  readonly setBacks: number;
}

export interface Lanes {
  /** What to ask next. A deep look goes back to the very beginning of every lane. */
  question(deep: boolean): Question;
  learn(seen: Look, deep: boolean): void;
  /** Somebody has enqueued: all lanes are worth a claim, from their marks on. */
  wake(): void;
  /**
   * Where to claim up to `limit` jobs, best first: greater priority first, and the types of one priority in turns. Claims
   * of one worker that are under way at once do not get in each other's way: each begins behind what those before it
   * are expected to take. Empty: nothing is known to be due.
   */
  offer(limit: number): Offer;
  /** Something was claimed there. Ignored when a cursor was set back after the offer: the claim may have been past what had come. */
  advance(offer: Offer, lane: Lane, to: Cursor): void;
  /** A claim came back short: what is due is not known until the next look. Ignored, and false, when a look has come since the offer. */
  exhaust(offer: Offer): boolean;
  isDue(): boolean;
}

export function createLanes(typesNow: () => readonly string[]): Lanes {
  const known = new Map<string, KnownLane>();
  /** When each type was served last, counted in jobs. */
  const servedAt = new Map<string, number>();
  let served = 0;
  let setBacks = 0;

  const keyOf = ({ type, priority }: Lane) => `${priority} ${type}`;
  const add = ({ type, priority }: Lane) => {
    const lane: KnownLane = { type, priority, mark: none, next: null, passed: 0, spoken: 0, free: true };
    known.set(keyOf(lane), lane);
    return lane;
  };
  /** What was counted from another place on is void. */
  const setBack = (lane: KnownLane, next: Cursor | null) => Object.assign(lane, { next, passed: 0, spoken: 0 });
  /** Those that can be claimed from: a type whose handler turned out not to load is none of ours any longer. */
  const isClaimable = ({ type, free, next }: KnownLane) => free && next !== null && typesNow().includes(type);

  return {
    question(deep) {
      const types = typesNow();
      if (deep) return { types, known: [], gaps: types.map((type) => ({ type, ...bounds })), orphans: true };
      const lanes = [...known.values()].filter(({ type }) => types.includes(type));
      const gaps = types.flatMap((type) => {
        const priorities = lanes.filter((lane) => lane.type === type).map(({ priority }) => priority).sort((a, b) => b - a);
        const edges = [bounds.below, ...priorities, bounds.above];
        return priorities.concat(bounds.above).map((above, index) => ({ type, below: edges[index] ?? bounds.below, above }));
      });
      return { types, known: lanes.map(({ type, priority, mark }) => ({ type, priority, from: mark })), gaps, orphans: false };
    },
    learn({ lanes, horizon }, deep) {
      setBacks += 1;
      if (deep) known.clear();
      // The lane that most jobs go to is known from the start, so that the first of them is claimed without a look.
      for (const type of typesNow()) if (!known.has(keyOf({ type, priority: 0 }))) add({ type, priority: 0 });
      for (const lane of known.values()) {
        setBack(lane, null);
        lane.mark = { runAt: horizon, id: zeroId };
      }
      for (const { type, priority, head, inMs, held } of lanes) {
        const lane = known.get(keyOf({ type, priority })) ?? add({ type, priority });
        const due = inMs <= 0;
        lane.free = held === null;
        const from = { runAt: head.runAt, id: justBefore(head.id) };
        lane.mark = due && head.runAt < horizon ? from : { runAt: horizon, id: zeroId };
        setBack(lane, due ? from : null);
      }
    },
    wake() {
      setBacks += 1;
      for (const lane of known.values()) setBack(lane, lane.mark);
    },
    offer(limit) {
      // The type with the oldest job comes first, and then they take turns: none waits for another's flood.
      const due = [...known.values()].filter(isClaimable).sort(
        (a, b) => b.priority - a.priority || (servedAt.get(a.type) ?? 0) - (servedAt.get(b.type) ?? 0) || compareCursors(a.next ?? none, b.next ?? none),
      );
      const offered = due.map(({ type, priority, next, passed, spoken }) => ({ type, priority, from: next ?? none, skip: spoken - passed }));
      const [first] = due;
      if (first !== undefined) first.spoken += limit;
      return { lanes: offered, end: first?.spoken ?? 0, setBacks };
    },
    advance(offer, lane, to) {
      servedAt.set(lane.type, (served += 1));
      if (offer.setBacks !== setBacks) return;
      const advanced = known.get(keyOf(lane));
      if (advanced === undefined || advanced.next === null) return;
      if (compareCursors(advanced.next, to) < 0) advanced.next = to;
      const [first] = offer.lanes;
      if (first !== undefined && keyOf(first) === keyOf(lane)) advanced.passed = Math.max(advanced.passed, offer.end);
    },
    exhaust(offer) {
      if (offer.setBacks !== setBacks) return false;
      servedAt.clear(); // each has had its turn
      setBacks += 1;
      for (const lane of known.values()) setBack(lane, null);
      return true;
    },
    isDue() {
      for (const lane of known.values()) if (isClaimable(lane)) return true;
      return false;
    },
  };
}

/** The id before this one: a claim begins behind its cursor, and this job is where it shall begin. */
function justBefore(id: string): string {
  const number = BigInt(`0x${id.replaceAll("-", "")}`);
  const hex = (number === 0n ? number : number - 1n).toString(16).padStart(32, "0");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
