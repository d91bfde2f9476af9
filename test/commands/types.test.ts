// types:list, types:pause and types:resume as people type them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { declareLimits } from "../../src/outbox/store/limits.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "types-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_type");
  for (const name of ["npm_lifecycle_event", "NODE_ENV", "DATA_DIR"]) vi.stubEnv(name, undefined);
  vi.stubEnv("DATABASE_URL", test.url);
});
afterEach(() => vi.unstubAllEnvs());

const ledger = async () => (await test.pool.query<object>("select actor, action, filter, count, reason from outbox_action order by id")).rows;
const pausedTypes = async () => (await test.pool.query<{ type: string }>("select type from outbox_type where paused_at is not null")).rows.map(({ type }) => type);

async function types(args: readonly string[], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(args, io, root);
  return { code, out: io.out(), err: io.err() };
}

describe("types:list", () => {
  it("shows each type on a line, its limits as the contract has them, and says which have no handler", async () => {
    await declareLimits(test.database, [
      { type: "email.send", concurrency: 2, concurrencyByKey: true, rateLimit: 100, rateMs: 60_000 },
      { type: "pdf.generate", concurrency: 5, concurrencyByKey: false, rateLimit: null, rateMs: null },
    ]);
    await test.aJob({ type: "work\u001b[2J" });
    await types(["types:pause", "pdf.generate", "--reason", "out of paper"]);
    const { code, out, err } = await types(["types:list"]);
    const [header, ...lines] = out.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
    expect(code).toBe(0);
    expect(header).toEqual(["type", "pending", "running", "paused", "until", "concurrency", "rate", "nextDue", "by", "reason", "tokens", "blockedUntil", "breaker"]);
    expect(lines.map((line) => [line[0], line[1], line[5], line[6], line[8], line[9], line[10]])).toEqual([
      ["email.send", "0", "2 per key", "100 per 1m", "", "", "100"],
      ["pdf.generate", "0", "5", "", "ada@example", "out of paper", ""],
      ["work\\u001b[2J", "1", "", "", "", "", ""],
    ]);
    expect(err).toBe('"work\\u001b[2J" has no handler here.\n');
  });

  it("--json is one document with everything in it; nothing at all is an empty one", async () => {
    expect((await types(["types:list", "--json"])).out).toBe("[]\n");
    await test.aJob({ type: "email.send" });
    const { code, out } = await types(["types", "list", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([{ type: "email.send", pending: 1, running: 0, pausedAt: null, concurrency: null, concurrencyByKey: false, rateLimit: null, tokens: null }]);
  });
});

describe("types:pause", () => {
  it("pauses, says what waits and how to resume, and writes the ledger", async () => {
    await test.aJob({ type: "email.send" });
    expect(await types(["types:pause", "email.send", "--reason", "the mail server is down"])).toEqual({
      code: 0,
      out: "1\n",
      err: 'Paused "email.send" until somebody resumes it: 1 pending job waits, 0 running go on. Next: npm run app:cli types:resume email.send\n',
    });
    expect(await pausedTypes()).toEqual(["email.send"]);
    expect(await ledger()).toEqual([{ actor: "ada@example", action: "types:pause", filter: { type: "email.send" }, count: 0, reason: "the mail server is down" }]);
    expect((await types(["types:pause", "email.send"])).err).toContain("It was paused already, by ada@example.");
  });

  it.each(["2h", new Date(Math.floor(Date.now() / 1000) * 1000 + 7_200_000).toISOString()])("--until %s ends it then", async (until) => {
    const { code, out } = await types(["types:pause", "email.send", "--until", until, "--json"]);
    expect(code).toBe(0);
    const paused = JSON.parse(out) as { until: string; by: string };
    expect(paused).toMatchObject({ dryRun: false, type: "email.send", by: "ada@example", reason: null });
    expect(Math.abs(Date.parse(paused.until) - Date.now() - 7_200_000)).toBeLessThan(30_000);
  });

  it.each([
    [["--until", "soon"], "Expected a time from now such as 30m or 2h"],
    [["--until", "2026-12-01T08:00"], "or an instant such as 2026-12-01T08:00Z"],
    [["--until", "2026-13-01T08:00Z"], "got \"2026-13-01T08:00Z\""],
    [["--until", "2020-01-01T00:00Z"], "to be in the future by the database's clock, got 2020-01-01T00:00:00.000Z"],
    [["--reason", ""], "Expected reason"],
    [["extra"], "too many arguments"],
  ])("with %j is refused, and nothing is paused", async (args, sentence) => {
    const { code, out, err } = await types(["types:pause", "email.send", ...args]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(sentence);
    expect(await pausedTypes()).toEqual([]);
    expect(await ledger()).toEqual([]);
  });

  it("warns of a type that nobody knows, with the one that was probably meant, and pauses it all the same", async () => {
    const { code, err } = await types(["types:pause", "emial.send"]);
    expect(code).toBe(0);
    expect(err).toContain('No handler here, no pending job and no limit has the type "emial.send". Did you mean "email.send"?');
    expect(await pausedTypes()).toEqual(["emial.send"]);
    expect((await types(["types:resume", "emial.send"])).err).not.toContain("Did you mean");
  });

  it("does not warn of a type that only the table knows", async () => {
    await test.aJob({ type: "theirs" });
    expect((await types(["types:pause", "theirs"])).err).not.toContain("No handler");
  });

  it.each(["-n", "--dry-run"])("%s says what would change and changes nothing", async (flag) => {
    const { code, out, err } = await types(["types:pause", "email.send", "--until", "2h", flag]);
    expect([code, out]).toEqual([0, "1\n"]);
    expect(err).toBe('Dry run, nothing was changed. Would pause "email.send" for 2h: 0 pending jobs wait, 0 running go on.\n');
    expect(await pausedTypes()).toEqual([]);
    expect(await ledger()).toEqual([]);
  });
});

describe("types:resume", () => {
  it("resumes and writes the ledger; what is not paused stays as it was, which is no error", async () => {
    await types(["types:pause", "email.send"]);
    expect(await types(["types:resume", "email.send", "--dry-run"])).toEqual({ code: 0, out: "1\n", err: 'Dry run, nothing was changed. Would resume "email.send".\n' });
    expect(await pausedTypes()).toEqual(["email.send"]);
    expect(await types(["types:resume", "email.send", "--reason", "it is back"])).toEqual({ code: 0, out: "1\n", err: 'Resumed "email.send". Next: npm run app:cli jobs:drain\n' });
    expect(await types(["types:resume", "email.send"])).toEqual({ code: 0, out: "0\n", err: "Nothing was changed: it is not paused.\n" });
    expect(JSON.parse((await types(["types:resume", "email.send", "--json"])).out)).toEqual({ dryRun: false, type: "email.send", changed: false });
    expect(await pausedTypes()).toEqual([]);
    expect(await ledger()).toMatchObject([{ action: "types:pause" }, { actor: "ada@example", action: "types:resume", filter: { type: "email.send" }, count: 0, reason: "it is back" }]);
  });
});
