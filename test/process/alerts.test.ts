// Alerts, the automatic redrive and the heartbeat as an installation has them: processes over an outbox.config.ts, and a
// receiver that listens.

import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { LocalServer } from "../handlers/local-server.ts";
import { serve, started, stopAll } from "../handlers/local-server.ts";
import type { Ended, Running } from "../support/cli.ts";
import { root, start } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
let test: TestOutbox;
let folder: string;
let server: LocalServer;
const running: Running[] = [];

beforeAll(async () => {
  test = await testOutbox();
  folder = await appWith(
    `import { defineConfig, defineJob, FinalError, handle } from ${from("dist/index.js")};
     export default defineConfig({
       handlers: [handle(defineJob({ type: "work" }), async ({ ok }) => { if (ok !== true) throw new FinalError("no"); })],
       webhooks: { ops: { url: process.env.OPS_URL ?? "http://127.0.0.1:1/", secrets: ["${secret}"], allowPrivate: true } },
       alerts: { deadLetters: { atLeast: 2, types: ["work"] }, oldestDue: "1h", notify: [{ webhook: "ops" }] },
       redrive: { work: { after: "1h" } },
     });`,
  );
});
afterAll(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
  await test.close();
});

const from = (path: string) => JSON.stringify(join(root, path));

/** A folder with the built command line over this configuration. */
async function appWith(config: string): Promise<string> {
  const app = await mkdtemp(join(tmpdir(), "alerts-"));
  await symlink(join(root, "prisma"), join(app, "prisma"));
  await writeFile(join(app, "cli.mjs"), `import { main } from ${from("dist/main.js")};\nawait main(process.argv.slice(2), import.meta.dirname);\n`);
  await writeFile(join(app, "outbox.config.mjs"), config);
  return app;
}
beforeEach(async () => {
  await test.empty();
  await test.pool.query("truncate outbox_alert, outbox_redrive, outbox_action_job");
  server = await started(serve((_, response) => response.writeHead(200).end()));
});
afterEach(stopAll);

function run(args: readonly string[], env: Record<string, string> = {}): Running {
  const process_ = start(process.execPath, [join(folder, "cli.mjs"), ...args], { DATABASE_URL: test.url, OPS_URL: `${server.origin}/ops`, ...env });
  running.push(process_);
  return process_;
}
const ended = (args: readonly string[], env?: Record<string, string>): Promise<Ended> => run(args, env).ended;
const aDeadLetter = (columns: Record<string, unknown> = {}) => test.aJob({ status: "error", attempts: 3, finished_at: new Date(), ...columns });
/** What the receiver was told, its signature checked. */
const told = () => server.received.map(({ headers, body }) => new Webhook(secret).verify(body, headers as Record<string, string>) as { type: string; data: { alert: string; state: string; jobs: number; next: string[] } });

it("two workers that start at once tell the receiver once, signed; later drains tell it that it is over", { timeout: 120_000 }, async () => {
  await aDeadLetter();
  await aDeadLetter();
  const workers = [run(["jobs:worker"]), run(["jobs:worker"])];
  await until("both are there", async () => (await test.pool.query("select from outbox_worker")).rowCount === 2, 40_000);
  await until("the receiver was told", () => server.received.length > 0, 20_000);
  for (const { child } of workers) child.kill("SIGTERM");
  const logs = await Promise.all(workers.map((worker) => worker.ended));
  expect(told()).toMatchObject([{ type: "outbox.alert", data: { alert: "deadLetters of work", state: "raised", jobs: 2, next: ["npm run app:cli errors", "npm run -s app:cli -- jobs:list --status error --type work"] } }]);
  expect(logs.flatMap(({ stderr }) => stderr.split("\n").filter((line) => line.includes("alert_told")))).toHaveLength(1);

  await test.pool.query("delete from outbox where status = 'error'");
  expect(await ended(["jobs:drain"])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  await test.pool.query("update outbox_alert set calm_since = calm_since - interval '6 minutes'");
  expect(await ended(["jobs:drain"])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect(told().map(({ data }) => data.state)).toEqual(["raised", "over"]);
});

it("a drain of cron's tells of what has died in it, by a line on stderr and by the job, and health:db fails meanwhile", { timeout: 60_000 }, async () => {
  expect(await ended(["health:db"])).toMatchObject({ code: 0 });
  await test.aJob();
  await test.aJob();
  const { code, stderr } = await ended(["jobs:drain"]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/alert: 2 dead letters, threshold 2 \(work\); the newest: work /);
  expect(told()).toHaveLength(1);
  const health = await ended(["health:db"]);
  expect(health.code).toBe(4);
  expect(health.stdout).toMatch(/^ {2}2 dead letters, threshold 2 \(work\).* Look: `npm run app:cli errors`\.$/m);
});

it("a dead letter whose time has come runs in the drain that finds it", { timeout: 60_000 }, async () => {
  await test.pool.query("insert into outbox_redrive (type, finished_at, job_id) values ('work', now() - interval '1 day', gen_random_uuid())");
  const id = await aDeadLetter({ payload: { ok: true }, finished_at: new Date(Date.now() - 61 * 60_000) });
  expect(await ended(["jobs:drain", "--verbose"])).toMatchObject({ code: 0, stderr: expect.stringContaining("1 dead letter of work redriven, as the redrive policy says") as string });
  expect((await test.job(id)).status).toBe("done");
});

it("a configuration that cannot be meant ends every command with 78 and its path", { timeout: 60_000 }, async () => {
  const bad = await appWith(`export default { alerts: { deadLetters: 1, notify: [{ webhook: "opps" }] } };`);
  const { code, stderr } = await start(process.execPath, [join(bad, "cli.mjs"), "jobs:drain"], { DATABASE_URL: test.url }).ended;
  expect({ code, stderr }).toEqual({ code: 78, stderr: 'Expected alerts.notify[0].webhook to be the name of one of webhooks in the configuration (there is none), got "opps".\n' });
  await rm(bad, { recursive: true });
});

it("the heartbeat comes after a drain that worked, dead letters or not, and says /fail after one that did not", { timeout: 90_000 }, async () => {
  const url = `${server.origin}/ping/s3cret`;
  expect(await ended(["jobs:drain", "--heartbeat-url", url])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  await test.aJob();
  expect(await ended(["jobs:drain"], { JOBS_HEARTBEAT_URL: url })).toMatchObject({ code: 3 });
  expect(await ended(["jobs:drain", "--dry-run"], { JOBS_HEARTBEAT_URL: url })).toMatchObject({ code: 0 });
  const away = await ended(["jobs:drain", "--heartbeat-url", url], { DATABASE_URL: "postgresql://me@127.0.0.1:1/x" });
  expect(away.code).toBe(69);
  expect(away.stderr).not.toContain("s3cret");
  expect(server.received.map(({ method, url: path }) => `${method} ${path}`)).toEqual(["GET /ping/s3cret", "GET /ping/s3cret", "GET /ping/s3cret/fail"]);
});

it("a heartbeat that nobody takes is a line on stderr without the URL, and the drain has worked; one that is none is refused", { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await ended(["jobs:drain", "--heartbeat-url", "http://127.0.0.1:1/s3cret"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toMatch(/^The heartbeat to 127\.0\.0\.1:1 was not taken: .*\. The drain itself worked\.\n$/);
  const refused = await ended(["jobs:drain", "--heartbeat-url", "hc-ping.com/s3cret"]);
  expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("Expected the heartbeat URL (--heartbeat-url, JOBS_HEARTBEAT_URL) to begin with https:// or http://") as string });
  expect(refused.stderr).not.toContain("s3cret");
});
