// Job ids: UUIDs of version 7, which sort by the time they were made. Within one process each is greater than the last.

import { randomBytes } from "node:crypto";

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
  const bytes = randomBytes(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | sequence, 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
