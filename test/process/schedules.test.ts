// Two crontabs on two machines say the same line, so two drains begin in the same second: a slot is fired once all the
// same. Real processes of the built program, with an outbox.config.js of their own.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Ended } from "../support/cli.ts";
import { root, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";

const hourMs = 3_600_000;
/** Ten minutes are forgiven by "none". */
const minutesLate = [5, 15] as const;
const policies = ["none", "last", "all"] as const;
const nameOf = (missed: string, late: number) => `${missed}, ${late} minutes late`;

let test: TestOutbox;
let folder: string;
/** When the slot of each hour came last: so many minutes ago that no other comes while the test runs. */
let newest: Map<number, Date>;
beforeAll(async () => {
  test = await testOutbox();
  const [{ now }] = (await test.pool.query<{ now: Date }>("select clock_timestamp() as now")).rows as [{ now: Date }]; // one row always
  newest = new Map(minutesLate.map((late) => [late, new Date(Math.floor(now.getTime() / 60_000) * 60_000 - late * 60_000)]));
  const schedules = [...newest].flatMap(([late, slotAt]) => policies.map((missed) => ({ name: nameOf(missed, late), cron: `${slotAt.getUTCMinutes()} * * * *`, missed })));
  folder = await mkdtemp(join(tmpdir(), "two-crontabs-"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(
    join(folder, "outbox.config.js"),
    `import { defineConfig, defineJob, defineSchedule, handle } from ${JSON.stringify(join(root, "dist/index.js"))};
     const contract = defineJob({ type: "tick" });
     const handlers = [handle(contract, () => Promise.resolve())];
     export default defineConfig({ handlers, schedules: ${JSON.stringify(schedules)}.map((each) => defineSchedule({ ...each, contract, payload: {} })) });`,
  );
  await writeFile(join(folder, "cli.js"), `import { main } from ${JSON.stringify(join(root, "dist/main.js"))};\nawait main(process.argv.slice(2), import.meta.dirname);`);
});
afterAll(async () => {
  await test.close();
  await rm(folder, { recursive: true });
});

const drain = () => start(process.execPath, [join(folder, "cli.js"), "jobs:drain", "--json"], { DATABASE_URL: test.url }).ended;

/** They stand before the table of schedules until all are there. */
async function drainsInOneMoment(count: number): Promise<Ended[]> {
  const barrier = await test.pool.connect();
  try {
    await barrier.query("begin; lock table outbox_schedule in access exclusive mode");
    const drains = Array.from({ length: count }, drain);
    await until("all of them wait", async () => (await test.pool.query("select from pg_locks where relation = 'outbox_schedule'::regclass and not granted")).rowCount === count, 25_000);
    await barrier.query("commit");
    return await Promise.all(drains);
  } finally {
    await barrier.query("rollback");
    barrier.release();
  }
}

async function slotsOf(schedule: string): Promise<string[]> {
  const { rows } = await test.pool.query<{ slot_at: Date }>("select slot_at from outbox_slot join outbox on outbox.id = job_id where schedule = $1 order by slot_at", [schedule]);
  return rows.map(({ slot_at: slotAt }) => slotAt.toISOString());
}

it("two drains that a crontab starts in the same second fire each slot once, and of the missed ones those that the schedule asks for", async () => {
  expect((await drain()).code).toBe(0); // declares the schedules
  expect(await test.jobs()).toEqual([]);
  // Nobody has looked since the third slot before the newest.
  await test.pool.query("update outbox_schedule set next_slot_at = next_slot_at - interval '4 hours'");
  const both = await drainsInOneMoment(2);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  for (const [late, slotAt] of newest) {
    const slots = [3, 2, 1, 0].map((ago) => new Date(slotAt.getTime() - ago * hourMs).toISOString());
    expect(await slotsOf(nameOf("all", late))).toEqual(slots);
    expect(await slotsOf(nameOf("last", late))).toEqual(slots.slice(-1));
    expect(await slotsOf(nameOf("none", late))).toEqual(late === 5 ? slots.slice(-1) : []);
  }
  const done = both.map(({ stdout }) => (JSON.parse(stdout) as { done: number }).done); // the report of --json
  expect(done[0]! + done[1]!).toBe(4 + 4 + 1 + 1 + 1);
  expect(await test.jobs("status <> 'done' or attempts <> 1")).toEqual([]);
  expect(await test.jobs()).toHaveLength(11);
}, 90_000);
