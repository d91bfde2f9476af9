// Job ids: UUIDs of version 7, which sort by the time they were made. Within one process each is greater than the last.

import { randomUUID } from "node:crypto";

let lastMs = 0;
let sequence = 0;

/** A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, a 12-bit sequence, 62 random bits. */
export function uuid7(): string {
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    sequence = 0;
  } else if (sequence < 0xfff) {
    sequence += 1; // the same millisecond, or a clock that went back
  } else {
    lastMs += 1;
    sequence = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  // Its second half is that of a random UUID, variant bits and all: Node draws the bits for many of those at once.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, "0")}-${randomUUID().slice(19)}`;
}
