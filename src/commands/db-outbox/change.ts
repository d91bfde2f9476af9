// What updateMany may set on jobs: a closed list, with the reason for what is not on it.

import { isKnown, refuse } from "./refuse.ts";
import type { JsonObject } from "./values.ts";
import { expectEntries, expectKind, expectName, expectText, expectWhole } from "./values.ts";

const settable = ["status", "priority", "runAt", "maxAttempts"] as const;
const settableStatuses = ["pending", "cancelled"] as const;

const notByHand: Readonly<Record<string, string>> = {
  waiting: "the engine decides which jobs wait",
  processing: "a job is processing only while a worker holds its lease; set pending, and the next drain claims it",
  done: "only a handler that succeeded makes a job done; to take a job out of the queue set cancelled",
  error: "only a failed attempt makes a dead letter; to take a job out of the queue set cancelled",
};

export interface Change {
  readonly status?: "pending" | "cancelled";
  readonly priority?: number;
  readonly runAt?: string;
  readonly maxAttempts?: number;
}

/** The checked `data` of updateMany. */
export function parseChange(value: unknown, path: string): Change & JsonObject {
  return Object.fromEntries(
    expectEntries(value, path, "field that can be set", settable).map(([name, item]): [string, unknown] => {
      const here = `${path}.${name}`;
      switch (name) {
        case "status":
          return [name, expectSettable(item, here)];
        case "priority":
          return [name, expectKind("smallint", item, here)];
        case "runAt":
          return [name, expectKind("time", item, here)];
        case "maxAttempts":
          return [name, expectWhole(item, here, 1, 10_000)];
      }
    }),
  );
}

function expectSettable(value: unknown, path: string): string {
  const reason = notByHand[expectText(value, path)];
  if (reason !== undefined && !isKnown(String(value), settableStatuses)) {
    refuse(`Expected ${path} to be ${settableStatuses.map((status) => `"${status}"`).join(" or ")}, got "${String(value)}": ${reason}.`);
  }
  return expectName(value, path, "status that can be set", settableStatuses);
}
