// schedules:list, schedules:run, schedules:pause and schedules:resume over a real database and an outbox.config.ts.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run as runCommand } from "../../src/commands/index.ts";
import { defineJob, defineSchedule } from "../../src/index.ts";
import { declareSchedules, fireDueSchedules } from "../../src/outbox/fire.ts";
import { compileSchedules } from "../../src/service/schedules.ts";
import { root } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { memoryIo } from "./db-outbox/harness.ts";

const config = `
import { defineConfig, defineJob, defineSchedule } from ${JSON.stringify(join(root, "src/index.ts"))};
const report = defineJob({ type: "report" });
export default defineConfig({ schedules: [
  defineSchedule({ name: "nightly-report", cron: "30 2 * * *", timeZone: "Europe/Berlin", contract: report, payload: { kind: "nightly" } }),
  defineSchedule({ name: "hourly-report", cron: "@hourly", missed: "all", contract: report, payload: (slotAt) => ({ hour: slotAt.toISOString() }) }),
] });`;

let test: TestOutbox;
let folder: string;
beforeAll(async () => {
  test = await testOutbox();
  folder = await mkdtemp(join(tmpdir(), "schedules-"));
  await writeFile(join(folder, "outbox.config.ts"), config);
  vi.stubEnv("DATABASE_URL", test.url);
  vi.stubEnv("npm_lifecycle_event", undefined);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_schedule, outbox_slot");
});

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo();
  const code = await runCommand(argv, io, folder);
  return { code, out: io.out(), err: io.err() };
}
const json = async (...argv: string[]): Promise<unknown> => JSON.parse((await run(...argv, "--json")).out);
const rows = async (table: string) => (await test.pool.query<Record<string, unknown>>(`select * from ${table}`)).rows;

/** What a worker of this program, or of another one, has done. */
async function declaredAndFired(name = "nightly-report", cron = "30 2 * * *", timeZone = "Europe/Berlin") {
  const schedules = await compileSchedules([defineSchedule({ name, cron, timeZone, contract: defineJob({ type: "report" }), payload: {} })]);
  await declareSchedules(test.database, schedules);
  await test.pool.query("update outbox_schedule set next_slot_at = next_slot_at - interval '1 day' where name = $1", [name]);
  return fireDueSchedules(test.database, schedules, () => undefined);
}

describe("schedules:list", () => {
  it("shows every schedule: of the configuration, also before any worker has run, and of other programs", async () => {
    await declaredAndFired();
    await declaredAndFired("theirs", "@daily", "UTC");
    const { code, out, err } = await run("schedules:list");
    expect(code).toBe(0);
    const [header, ...lines] = out.slice(0, -1).split("\n").map((line) => line.split("\t"));
    expect(header).toEqual(["name", "type", "cron", "timeZone", "next", "last", "paused"]);
    expect(lines.map((cells) => cells.slice(0, 4))).toEqual([
      ["hourly-report", "report", "@hourly", "UTC"],
      ["nightly-report", "report", "30 2 * * *", "Europe/Berlin"],
      ["theirs", "report", "@daily", "UTC"],
    ]);
    for (const cells of lines) expect(Date.parse(cells[4]!)).toBeGreaterThan(Date.now() - 60_000);
    expect(lines.map((cells) => cells[5] !== "")).toEqual([false, true, true]);
    expect(err).toContain('"hourly-report" begins with the next drain or worker.');
    expect(err).toContain('"theirs" is not in outbox.config.ts');
    expect(err).not.toContain("nightly-report");
  });

  it("as JSON has everything, and `schedules list` is the same", async () => {
    await run("schedules:pause", "nightly-report", "--reason", "the printer burns");
    const listed = await json("schedules", "list");
    expect(listed).toMatchObject([
      { name: "hourly-report", missed: "all", paused: null },
      { name: "nightly-report", missed: "last", last: null, paused: expect.any(String), pausedBy: "ada@example", pauseReason: "the printer burns" },
    ]);
  });
});

describe("schedules:run", () => {
  it("enqueues one job, prints its id, and writes who and why into the ledger", async () => {
    const { code, out, err } = await run("schedules:run", "nightly-report", "--reason", "the night was lost");
    expect(code).toBe(0);
    expect(await rows("outbox")).toMatchObject([{ id: out.trim(), type: "report", payload: { kind: "nightly" }, status: "pending" }]);
    expect(err).toContain("npm run app:cli jobs:drain");
    expect(await rows("outbox_action")).toMatchObject([{ actor: "ada@example", action: "schedules:run", filter: { schedule: "nightly-report" }, count: 1, reason: "the night was lost" }]);
    expect(await rows("outbox_slot")).toEqual([]);
  });

  it("gives the moment as the slot to a payload that is made of it", async () => {
    const { id } = (await json("schedules:run", "hourly-report")) as { id: string };
    const { payload } = (await test.job(id)) as { payload: { hour: string } };
    expect(Math.abs(Date.parse(payload.hour) - Date.now())).toBeLessThan(60_000);
  });

  it("of a schedule that only another program knows exits 5", async () => {
    await declaredAndFired("theirs", "@daily", "UTC");
    const { code, err } = await run("schedules:run", "theirs");
    expect([code, err]).toEqual([5, expect.stringContaining("only the program that declares it knows")]);
  });
});

describe("schedules:pause and schedules:resume", () => {
  it("change what schedules:list shows, once, with a line in the ledger each", async () => {
    await declaredAndFired();
    expect(await run("schedules:pause", "nightly-report", "--reason", "audit")).toMatchObject({ code: 0, out: "1\n", err: expect.stringContaining("schedules:resume nightly-report") });
    expect(await run("schedules:pause", "nightly-report")).toMatchObject({ code: 0, out: "0\n", err: expect.stringContaining("paused already") });
    expect(await json("schedules:list")).toMatchObject([{}, { paused: expect.any(String), pauseReason: "audit" }]);
    expect(await run("schedules:resume", "nightly-report")).toMatchObject({ code: 0, out: "1\n" });
    expect(await run("schedules:resume", "nightly-report")).toMatchObject({ code: 0, out: "0\n", err: expect.stringContaining("not paused") });
    expect(await json("schedules:list")).toMatchObject([{}, { paused: null, pauseReason: null }]);
    expect(await rows("outbox_action")).toMatchObject([{ action: "schedules:pause", reason: "audit" }, { action: "schedules:resume", reason: null }]);
  });
});

describe("all that change something", () => {
  it.each(["run", "pause", "resume"])("schedules:%s with --dry-run says what it would do and does nothing", async (verb) => {
    await declaredAndFired();
    if (verb === "resume") await run("schedules:pause", "nightly-report");
    const tables = ["outbox", "outbox_schedule", "outbox_slot", "outbox_action"];
    const before = await Promise.all(tables.map(rows));
    const { code, out, err } = await run(`schedules:${verb}`, "nightly-report", "-n");
    expect([code, out]).toEqual([0, "1\n"]);
    expect(err).toContain("Dry run, nothing was changed. Would");
    expect(await run(`schedules:${verb}`, "hourly-report", "--dry-run")).toMatchObject({ code: 0 }); // no worker has seen it yet
    expect(await Promise.all(tables.map(rows))).toEqual(before);
  });

  it.each(["run", "pause", "resume"])("schedules:%s of a schedule that is not there exits 5 and says which was probably meant", async (verb) => {
    const { code, out, err } = await run(`schedules:${verb}`, "nihgtly-report");
    expect([code, out]).toEqual([5, ""]);
    expect(err).toBe('There is no schedule named "nihgtly-report". Did you mean "nightly-report"? Known: nightly-report, hourly-report.\n');
    expect(await rows("outbox_schedule")).toEqual([]);
  });

  it("without a name exits 2", async () => {
    expect((await run("schedules:run")).code).toBe(2);
  });
});

it("a schedule that cannot be read exits 78 and says what is wrong with it", async () => {
  const other = await mkdtemp(join(tmpdir(), "schedules-"));
  try {
    await writeFile(join(other, "outbox.config.ts"), config.replace("30 2 * * *", "30 25 * * *"));
    const io = memoryIo();
    expect(await runCommand(["schedules:list"], io, other)).toBe(78);
    expect(io.err()).toContain('Expected cron of the schedule "nightly-report" to be a cron expression such as "0 7 * * *", got "30 25 * * *": Invalid value for hour: 25');
  } finally {
    await rm(other, { recursive: true });
  }
});
