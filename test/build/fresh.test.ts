// npm run app:cli runs the build while it is what the sources say, and the sources otherwise: never old code.
import { appendFile, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { start } from "../support/cli.ts";
import type { Clone } from "../support/clone.ts";
import { clone } from "../support/clone.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { until } from "../support/until.ts";

let here: Clone;
let test: TestOutbox;
const source = "src/commands/health-api.ts";
const file = (name: string) => join(here.folder, name);
const run = (args: readonly string[], env: Record<string, string> = {}) => start("npm", ["run", "-s", "app:cli", ...args], env, here.folder).ended;

beforeAll(async () => {
  test = await testOutbox();
  here = await clone();
  await here.build("--no-types");
  // Its outputs are not among what a build is made of, so it stays fresh, and says which one has run.
  await appendFile(file("dist/main.js"), `\nprocess.stderr.write("(built)");\n`);
}, 120_000);
afterAll(async () => {
  await here.remove();
  await test.close();
});

/** Which one answers --help, and what it says of health:api. */
async function asked(): Promise<{ built: boolean; says: string | undefined }> {
  const { code, stdout, stderr } = await run(["--", "--help"]);
  expect(code).toBe(0);
  return { built: stderr.includes("(built)"), says: /health:api.*$/m.exec(stdout)?.[0] };
}

describe("npm run app:cli in a clone that is built", () => {
  let before: { text: string; says: string | undefined };
  beforeEach(async () => {
    before = { text: await readFile(file(source), "utf8"), says: (await asked()).says };
    expect(before.says).toContain("health:api");
  });

  it("runs the build while nothing has changed, and after what leaves every file as it was", async () => {
    expect(await asked()).toMatchObject({ built: true });
    await utimes(file(source), new Date(), new Date());
    expect(await asked()).toMatchObject({ built: true });
    // As git checkout does: another file with the same contents.
    await rename(file(source), file("aside.ts"));
    await writeFile(file(source), before.text);
    expect(await asked()).toMatchObject({ built: true });
    await rm(file("aside.ts"));
  });

  it("runs the sources after an edit, also one of the same length whose time was set back, and the build again once it is undone", async () => {
    // To the nanosecond, as cp -p and tar do it.
    const sameTime = (from: string, to: string) => start("touch", ["-r", file(from), file(to)]).ended;
    await sameTime(source, "time");
    const edited = before.text.replace(/description\("./, (found) => `${found.slice(0, -1)}X`);
    expect(edited).toHaveLength(before.text.length);
    expect(edited).not.toBe(before.text);
    await writeFile(file(source), edited);
    await sameTime("time", source);
    const after = await asked();
    expect(after.built).toBe(false);
    expect(after.says).not.toBe(before.says);
    await writeFile(file(source), before.text);
    expect(await asked()).toMatchObject({ built: true, says: before.says });
  });

  it("runs the sources when one of their files is gone, and fails with them", async () => {
    await rename(file(source), file("aside.ts"));
    const { code, stderr } = await run(["--", "--help"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("health-api.ts");
    await rename(file("aside.ts"), file(source));
    expect(await asked()).toMatchObject({ built: true });
  });

  it("runs the sources when package.json, from which the version comes, has changed", async () => {
    const text = await readFile(file("package.json"), "utf8");
    await writeFile(file("package.json"), text.replace(/"version": ".*?"/, '"version": "9.9.9"'));
    expect((await run(["--", "--version"])).stdout).toBe("9.9.9\n");
    await writeFile(file("package.json"), text);
    expect(await asked()).toMatchObject({ built: true });
  });

  it("runs the sources when the build was interrupted or its record is broken", async () => {
    const text = await readFile(file("dist/build.json"), "utf8");
    await writeFile(file("dist/build.json"), text.slice(0, 1000));
    expect(await asked()).toMatchObject({ built: false, says: before.says });
    await rm(file("dist/build.json"));
    expect(await asked()).toMatchObject({ built: false, says: before.says });
    await writeFile(file("dist/build.json"), text);
    expect(await asked()).toMatchObject({ built: true });
  });

  it("reads outbox.config.ts as it is now: compiled by the build, edited since, and taken away", async () => {
    const text = await readFile(file("outbox.config.ts"), "utf8");
    const endpoints = async () => /^endpoints\t(.*?)\t/m.exec((await run(["config:show"], { DATABASE_URL: test.url })).stdout)?.[1];
    expect(await endpoints()).toBe("proposal-copies");
    await writeFile(file("outbox.config.ts"), text.replace('"proposal-copies"', '"copied-proposals"'));
    expect(await endpoints()).toBe("copied-proposals");
    expect(await asked()).toMatchObject({ built: true }); // the program itself is what it was
    await rm(file("outbox.config.ts"));
    expect(await endpoints()).toBe("");
    await writeFile(file("outbox.config.ts"), text);
    expect(await endpoints()).toBe("proposal-copies");
  });
});

it("without a build it runs the sources", async () => {
  await rename(file("dist"), file("away"));
  expect(await asked()).toMatchObject({ built: false });
  await rename(file("away"), file("dist"));
  expect(await asked()).toMatchObject({ built: true });
});

it("SIGTERM to npm run start:worker, built, ends the worker gracefully, within a few seconds", async () => {
  const npm = start("npm", ["run", "start:worker"], { DATABASE_URL: test.url }, here.folder);
  await npm.seen("(built)");
  await npm.seen("worker started");
  const workers = async () => (await test.pool.query("select from outbox_worker")).rowCount;
  await until("it is there", async () => (await workers()) === 1);
  npm.child.kill("SIGTERM");
  await until("it has left", async () => (await workers()) === 0, 5000);
  expect((await npm.ended).stderr).toContain("worker_stopped");
});

it("a build leaves the chunks of the one before, for a worker that was started from it", async () => {
  const { stdout } = await start(process.execPath, ["-e", `process.stdout.write(require("node:fs").readdirSync("dist/chunks").join())`], {}, here.folder).ended;
  const old = stdout.split(",").filter((name) => name.startsWith("engine-") && name.endsWith(".js"));
  expect(old).not.toEqual([]);
  await appendFile(file("src/outbox/drain.ts"), "\nexport const drawn = Math.random();\n");
  await here.build("--no-types");
  for (const name of old) await expect(stat(file(`dist/chunks/${name}`))).resolves.toBeDefined();
  await here.build("--no-types", "--package");
});
