// The commands of the README, exactly as typed, through npm.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli, launcher, npmCli, root, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";

let test: TestOutbox;
let env: Record<string, string>;
beforeAll(async () => {
  test = await testOutbox();
  env = { DATABASE_URL: test.url };
});
afterAll(() => test.close());

const notification = { type: "notification.send", payload: { userId: "u", type: "t", message: "m" } };

it("npm run app:cli jobs:drain runs what is due and says nothing when nobody watches", async () => {
  await test.empty();
  const id = await test.aJob(notification);
  expect(await npmCli(["jobs:drain"], env)).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect((await test.job(id)).status).toBe("done");
});

it("tsx scripts/outbox-drain.ts does the same, from any folder", async () => {
  await test.empty();
  const id = await test.aJob(notification);
  const { code, stderr } = await start(`${root}/node_modules/.bin/tsx`, [`${root}/scripts/outbox-drain.ts`], env, "/").ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect((await test.job(id)).status).toBe("done");
});

describe("npm run app:cli db outbox", () => {
  it("findMany, with a status, with a status and a time, and aggregate, read what is there", async () => {
    await test.empty();
    const old = new Date("2023-06-01T00:00:00Z");
    for (let n = 0; n < 7; n += 1) await test.aJob({ payload: { n } });
    const failed = await test.aJob({ status: "error", attempts: 1 });
    const stuck = await test.aJob({ status: "processing", updated_at: old, created_at: old });
    const lines = ({ stdout }: { stdout: string }) => stdout.trimEnd().split("\n").slice(1);
    expect(lines(await npmCli(["db", "outbox", "findMany", '{"take":5}'], env))).toHaveLength(5);
    expect(lines(await npmCli(["db", "outbox", "findMany", '{"where":{"status":"pending"},"take":5}'], env))).toHaveLength(5);
    expect(lines(await npmCli(["db", "outbox", "findMany", '{"where":{"status":"error"},"take":5}'], env))).toEqual([expect.stringContaining(failed)]);
    expect(lines(await npmCli(["db", "outbox", "findMany", '{"where":{"status":"processing","updatedAt":{"lt":"2024-01-01T00:00:00Z"}}}'], env))).toEqual([expect.stringContaining(stuck)]);
    const aggregate = await npmCli(["db", "outbox", "aggregate", '{"where":{"createdAt":{"gte":"2024-01-01T00:00:00Z"}},"_count":{"id":true}}'], env);
    expect(aggregate).toMatchObject({ code: 0, stdout: expect.stringContaining("8") as string });
  });

  it("deleteMany removes old finished jobs, and nothing else", async () => {
    await test.empty();
    const old = new Date("2023-06-01T00:00:00Z");
    await test.aJob({ status: "done", created_at: old });
    const kept = [await test.aJob({ status: "done" }), await test.aJob({ created_at: old })];
    const { code, stdout } = await npmCli(["db", "outbox", "deleteMany", '{"where":{"status":"done","createdAt":{"lt":"2024-01-01T00:00:00Z"}}}'], env);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "1\n" });
    expect((await test.jobs()).map(({ id }) => id).sort()).toEqual(kept.sort());
    const { rows } = await test.pool.query("select action, count from outbox_action");
    expect(rows).toEqual([{ action: "db outbox deleteMany", count: 1 }]);
  });

  it("updateMany resets failed jobs, and the next drain runs them", async () => {
    await test.empty();
    const failed = await test.aJob({ ...notification, status: "error", attempts: 1, finished_at: new Date(), last_error: "x" });
    const usedUp = await test.aJob({ ...notification, status: "error", attempts: 3, finished_at: new Date() });
    expect((await npmCli(["db", "outbox", "updateMany", '{"where":{"status":"error","attempts":{"lt":3}},"data":{"status":"pending"}}'], env)).code).toBe(0);
    expect((await npmCli(["jobs:drain"], env)).code).toBe(0);
    expect(await test.job(failed)).toMatchObject({ status: "done", attempts: 2 });
    expect((await test.job(usedUp)).status).toBe("error");
  });
});

describe("npm run app:cli health:db", () => {
  it("exits 0 and shows the counts when all is well", async () => {
    await test.empty();
    await test.aJob({ status: "done" });
    const { code, stdout } = await npmCli(["health:db"], env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/reachable, PostgreSQL \d+/);
    expect(stdout).toContain("1 done");
    expect(stdout).toContain("healthy");
  });

  it("exits 4 with the job's id and what to do when one has been processing for over 10 minutes", async () => {
    await test.empty();
    const id = await test.aJob({ status: "processing", updated_at: new Date(Date.now() - 11 * 60_000) });
    const { code, stdout } = await npmCli(["health:db"], env);
    expect(code).toBe(4);
    expect(stdout).toContain(id);
    expect(stdout).toContain("jobs:drain");
  });

  it("exits 4 with a sentence when the database cannot be reached, and never shows the password", async () => {
    const { code, stdout, stderr } = await cli(["health:db"], { DATABASE_URL: "postgresql://me:s3cret@127.0.0.1:1/x" });
    expect(code).toBe(4);
    expect(stdout).toMatch(/cannot be reached.*ECONNREFUSED.*Check DATABASE_URL/);
    expect(stdout + stderr).not.toContain("s3cret");
  });
});

it("npm run app:cli health:api exits 0 while serve runs and 4 when nobody answers; serve stops on SIGTERM", async () => {
  await test.empty();
  const server = start(process.execPath, [launcher, "serve", "--port", "0"], env);
  const url = await server.seen(/http:\/\/127\.0\.0\.1:\d+(?=\. Stop)/);
  expect(await npmCli(["health:api"], { ...env, API_URL: url })).toMatchObject({ code: 0, stdout: expect.stringContaining("ready") as string });
  await test.aJob({ status: "processing", updated_at: new Date(Date.now() - 11 * 60_000) });
  expect((await fetch(`${url}/health`)).status).toBe(200);
  expect((await fetch(`${url}/health/ready`)).status).toBe(503);
  expect((await fetch(`${url}/nothing`)).headers.get("content-type")).toContain("problem+json");
  server.child.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
  expect(await npmCli(["health:api"], { ...env, API_URL: url })).toMatchObject({ code: 4, stdout: expect.stringContaining("nobody answered") as string });
});

describe("what npm swallows", () => {
  it.each([
    [["jobs:drain", "--dry-run"], "npm run app:cli -- jobs:drain --dry-run"],
    [["jobs:drain", "--max-jobs", "5"], "npm run app:cli -- jobs:drain --max-jobs 5"],
    [["jobs:drain", "--type=a,b", "--json"], "npm run app:cli -- jobs:drain --type a,b --json"],
    [["db", "outbox", "deleteMany", '{"where":{"status":"error"}}', "--yes"], `npm run app:cli -- db outbox deleteMany '{"where":{"status":"error"}}' --yes`],
  ])("npm run app:cli %j is refused with the corrected line, and nothing is run", async (args, line) => {
    await test.empty();
    const id = await test.aJob(notification);
    const { code, stderr } = await npmCli(args, env);
    expect(code).toBe(2);
    expect(stderr).toContain(line);
    expect((await test.job(id)).status).toBe("pending");
  });

  it("behind -- it is no matter: a dry run shows what would run and runs nothing", async () => {
    await test.empty();
    const id = await test.aJob(notification);
    const { code, stdout, stderr } = await npmCli(["--", "jobs:drain", "--dry-run"], env);
    expect(code).toBe(0);
    expect(stdout).toContain(id);
    expect(stderr).toContain("would run 1 job");
    expect((await test.job(id)).status).toBe("pending");
  });
});

describe("exit codes and sentences", () => {
  it("a dead letter: one line on stderr, exit 3; with --fail-on none 0", async () => {
    await test.empty();
    const broken = { type: "notification.send", payload: { userId: 5 } };
    const id = await test.aJob(broken);
    const { code, stdout, stderr } = await cli(["jobs:drain"], env);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toContain(`notification.send ${id} became a dead letter`);
    expect(stderr).toContain("payload.userId");
    await test.aJob(broken);
    expect((await cli(["jobs:drain", "--fail-on", "none", "--quiet"], env)).code).toBe(0);
  });

  it("a type without a handler: reported, still pending, exit 0", async () => {
    await test.empty();
    const id = await test.aJob({ type: "nobody.handles" });
    const { code, stderr } = await cli(["jobs:drain"], env);
    expect(code).toBe(0);
    expect(stderr).toContain('1 pending job of type "nobody.handles": no handler here');
    expect(await test.job(id)).toMatchObject({ status: "pending", attempts: 0 });
  });

  it.each([
    [["jobs:drain", "--max-jobs", "ten"], "Expected a whole number from 1"],
    [["jobs:drain", "--max-time", "soon"], "Expected a duration"],
    [["jobs:drain", "--typ", "a"], "unknown option"],
    [["jobs:drian"], "Did you mean jobs:drain?"],
    [["jobs:drain", "extra"], "too many arguments"],
    [["db", "outbox", "findMny"], "findMany"],
    [["db", "outbox", "findMany", '{"take":5,}'], "^"],
    [["db", "outbox", "findMany", "--dry-run", "--yes"], "--dry-run, --yes with deleteMany or updateMany only"],
    [["db", "outbox"], "missing required argument"],
    [["health:api", "--url", "ftp://x"], "http://host:port"],
  ])("%j: exit 2 with a sentence that helps", async (args, sentence) => {
    const { code, stdout, stderr } = await cli(args, env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(sentence);
  });

  it("without DATABASE_URL in production every command is refused with one sentence, exit 78", async () => {
    for (const args of [["jobs:drain"], ["health:db"], ["db", "outbox", "count"], ["migrate"], ["jobs:worker"]]) {
      const { code, stdout, stderr } = await cli(args, { NODE_ENV: "production" });
      expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
      expect(stderr.trimEnd().split("\n")).toEqual([expect.stringContaining("Expected DATABASE_URL to be set, because NODE_ENV is production")]);
    }
  });

  it("a database that is away: exit 69 with a sentence, within a quarter of a minute", async () => {
    const startedAt = Date.now();
    const { code, stderr } = await cli(["jobs:drain"], { DATABASE_URL: "postgresql://me:s3cret@127.0.0.1:1/x" });
    expect(code).toBe(69);
    expect(stderr).toContain("The database cannot be reached");
    expect(stderr).not.toContain("s3cret");
    expect(Date.now() - startedAt).toBeLessThan(15_000);
  });

  it("a DATABASE_URL that is none, and an odd LOG_LEVEL: exit 78, and the value of the first is not shown", async () => {
    const { code, stderr } = await cli(["jobs:drain"], { DATABASE_URL: "mysql://me:s3cret@x/y" });
    expect(code).toBe(78);
    expect(stderr).toContain("postgresql://user:password@host:port/database");
    expect(stderr).not.toContain("s3cret");
    expect((await cli(["jobs:drain"], { ...env, LOG_LEVEL: "loud" })).stderr).toContain("Expected LOG_LEVEL to be one of");
  });

  it("--help shows examples first, and --version the version", async () => {
    const help = await cli(["jobs:drain", "--help"]);
    expect(help.code).toBe(0);
    expect(help.stdout.startsWith("Examples:")).toBe(true);
    expect(help.stdout).toContain("Exit codes:");
    expect((await cli(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
