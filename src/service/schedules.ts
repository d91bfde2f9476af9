// Cron expressions, by croner: turns schedules as they were declared into schedules that know when their slots are.

import type { Cron } from "croner";
import { OutboxError } from "../outbox/errors.ts";
import type { Schedule, ScheduleDeclaration } from "../outbox/schedule.ts";

/** Refuses two of one name, and an expression that croner cannot read or that never comes. The library is loaded only if there are schedules. */
export async function compileSchedules(declarations: readonly ScheduleDeclaration[]): Promise<Schedule[]> {
  if (declarations.length === 0) return [];
  const { Cron } = await import("croner");
  const names = new Set<string>();
  return declarations.map((declaration) => {
    const { name, cron, timeZone } = declaration;
    if (names.has(name)) throw new OutboxError("CONFIGURATION", `Expected every schedule to have a name of its own, got two named "${name}".`);
    names.add(name);
    const parsed = parse(name, cron, () => new Cron(cron, { timezone: timeZone }));
    return { ...declaration, nextAfter: (after) => parsed.nextRun(after) };
  });
}

/** Without a function to call, a Cron only computes: it sets no timer. */
function parse(name: string, cron: string, read: () => Cron): Cron {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new OutboxError("CONFIGURATION", `Expected cron of the schedule "${name}" to be a cron expression such as "0 7 * * *", got ${JSON.stringify(cron)}: ${problem}`, { cause });
  };
  let parsed: Cron;
  try {
    parsed = read();
  } catch (cause) {
    return refuse(cause instanceof Error ? cause.message.replace(/^CronPattern: /, "") : String(cause), cause);
  }
  if (parsed.getOnce() !== null) refuse("that is a single moment. Enqueue one job with runAt for it.");
  if (parsed.nextRun(new Date(0)) === null) refuse("no date ever fits it.");
  return parsed;
}
