// Variables that stand for flags, in the real program: what goes before what, and what is refused.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cli, launcher, npmCli, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  folder = await mkdtemp(join(tmpdir(), "environment-"));
  env = { DATABASE_URL: test.url };
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await test.close();
});
beforeEach(() => test.empty());

const note = { type: "notification.send", payload: { userId: "u", type: "t", message: "m" } };
const audit = { type: "audit.log", payload: { event: "e" } };
const done = async () => (await test.jobs("status = 'done'")).map(({ type }) => type).sort();

describe("a variable stands for its flag of jobs:drain", () => {
  it("JOBS_TYPE and JOBS_MAX_JOBS choose what is run", async () => {
    for (const job of [note, note, audit]) await test.aJob(job);
    expect(await cli(["jobs:drain"], { ...env, JOBS_TYPE: "notification.send", JOBS_MAX_JOBS: "1" })).toMatchObject({ code: 0 });
    expect(await done()).toEqual(["notification.send"]);
  });

  it("the flag on the line goes before it, and is not added to it", async () => {
    for (const job of [note, audit]) await test.aJob(job);
    expect(await cli(["jobs:drain", "--type", "audit.log"], { ...env, JOBS_TYPE: "notification.send" })).toMatchObject({ code: 0 });
    expect(await done()).toEqual(["audit.log"]);
  });

  it("a switch is on with true, off with false, and off when its variable is empty", async () => {
    const summary = async (value: string) => (await cli(["jobs:drain"], { ...env, JOBS_SUMMARY: value })).stdout !== "";
    expect(await summary("true")).toBe(true);
    expect(await summary("false")).toBe(false);
    expect(await summary("")).toBe(false);
  });

  it("an empty one is none", async () => {
    await test.aJob(note);
    expect(await cli(["jobs:drain"], { ...env, JOBS_TYPE: "", JOBS_BATCH: "", JOBS_MAX_TIME: "" })).toMatchObject({ code: 0, stderr: "" });
    expect(await done()).toEqual(["notification.send"]);
  });
});

describe("a variable that will not do: exit 2, its name, and nothing is run", () => {
  it.each([
    ["jobs:drain", "JOBS_BATCH", "ten", "Expected a whole number from 1"],
    ["jobs:drain", "JOBS_MAX_TIME", "soon", "Expected a duration"],
    ["jobs:drain", "JOBS_FAIL_ON", "never", "Allowed choices are dead, failed, none"],
    ["jobs:drain", "JOBS_SUMMARY", "yes", "Expected true or false"],
    ["jobs:worker", "JOBS_POLL", "often", "Expected a duration"],
    ["jobs:worker", "JOBS_PROBE_PORT", "70000", "Expected a port"],
    ["serve", "PORT", "http", "Expected a port"],
  ])("%s with %s=%s", async (command, variable, value, sentence) => {
    await test.aJob(note);
    const { code, stdout, stderr } = await cli([command], { ...env, [variable]: value });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(variable);
    expect(stderr).toContain(sentence);
    expect(await done()).toEqual([]);
  });

  it("the flag on the line takes its place", async () => {
    expect((await cli(["jobs:drain", "--batch", "5"], { ...env, JOBS_BATCH: "ten" })).code).toBe(0);
  });
});

it("serve listens where PORT and SERVE_HOST say", async () => {
  const server = start(process.execPath, [launcher, "serve"], { ...env, PORT: "0", SERVE_HOST: "localhost" });
  await server.seen(/Listening on http:\/\/localhost:\d+/);
  server.child.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
});

describe("flags that every command takes", () => {
  it("-q leaves the notices out, before the command and behind it", async () => {
    await test.aJob(note);
    const notice = (await cli(["types:pause", "notification.send"], env)).stderr;
    expect(notice).toContain("Paused");
    for (const args of [["types:pause", "notification.send", "-q"], ["-q", "types", "pause", "notification.send"]]) {
      expect(await cli(args, env)).toMatchObject({ code: 0, stdout: "1\n", stderr: "" });
    }
  });

  it("--no-color in front of npm's -- is heeded, not refused; a colour in .npmrc is no flag", async () => {
    expect((await npmCli(["health:db", "--no-color"], env)).code).toBe(0);
    expect((await npmCli(["jobs:drain", "--no-input"], env)).stderr).toContain("npm run app:cli -- jobs:drain --no-input");
  });

  it("--tag and --key, which npm knows itself, are refused in front of its --, unless an .npmrc has set them", async () => {
    const swallowed = await npmCli(["jobs:list", "--tag", "vip"], env);
    expect(swallowed.code).toBe(2);
    expect(swallowed.stderr).toContain("npm run app:cli -- jobs:list --tag vip");
    await writeFile(join(folder, ".npmrc"), "tag=next\n");
    expect((await npmCli(["jobs:list"], { ...env, NPM_CONFIG_USERCONFIG: join(folder, ".npmrc") })).code).toBe(0);
  });
});

describe("db:psql", () => {
  it("is refused with DATABASE_URL set, because it is for the embedded Postgres", async () => {
    const { code, stderr } = await cli(["db:psql"], env);
    expect(code).toBe(2);
    expect(stderr).toContain("the db: commands are for the embedded Postgres");
  });

  it("without psql says what to type, exit 78", async () => {
    const { code, stderr } = await cli(["db:psql"], { PATH: folder, DATA_DIR: folder });
    expect(code).toBe(78);
    expect(stderr).toContain("Expected psql to be installed");
    expect(stderr).toContain("db:start");
  });
});
