// One process at a time opens, closes, starts or stops an embedded Postgres.
// The lock is a folder whose time stamp is kept fresh: a process that was killed leaves one that goes stale.

import { OutboxError } from "../../outbox/errors.ts";
import type { Place } from "./place.ts";

const staleMs = 10_000;
const pauseMs = 250;
/** Longer than a slow machine needs to make a cluster. */
const waitMs = 90_000;

export async function withLock<Value>(place: Place, work: () => Promise<Value>): Promise<Value> {
  // Loaded here, because a process with a DATABASE_URL never needs it.
  const { lock } = await import("proper-lockfile");
  const held = { lost: false };
  const release = await lock(place.home, {
    lockfilePath: place.lock,
    realpath: false,
    stale: staleMs,
    update: staleMs / 4,
    retries: { retries: waitMs / pauseMs, factor: 1, minTimeout: pauseMs / 2, maxTimeout: pauseMs, randomize: true },
    // It happens when this process was stopped for longer than a stale lock lives. The default throws out of a timer.
    onCompromised: () => (held.lost = true),
  }).catch((cause: unknown) => {
    throw notLocked(place, cause);
  });
  try {
    return await work();
  } finally {
    if (!held.lost) await release();
  }
}

function notLocked(place: Place, cause: unknown): OutboxError {
  if (cause instanceof Error && "code" in cause && cause.code === "ELOCKED") {
    return new OutboxError(
      "DATABASE_UNREACHABLE",
      `Another process has been starting or stopping the embedded Postgres in ${place.home} for over ${waitMs / 1000} s. Wait for it, or end it, and try again.`,
      { cause },
    );
  }
  return new OutboxError("CONFIGURATION", `The folder ${place.home} of the embedded Postgres cannot be written to: ${String(cause)}. Run as the user who made it, or set DATABASE_URL.`, { cause });
}
