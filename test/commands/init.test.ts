// postcommit init, in apps of every kind: what it adds, what it leaves alone, what it tells.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cli, root, start } from "../support/cli.ts";
import { emptyDatabase } from "../support/database.ts";

let app: string;
beforeEach(async () => {
  app = await mkdtemp(join(tmpdir(), "init-"));
  await file("package.json", `{ "type": "module" }`);
});
afterEach(() => rm(app, { recursive: true, force: true }));

async function file(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(app, path)), { recursive: true });
  await writeFile(join(app, path), text);
}
const text = (path: string) => readFile(join(app, path), "utf8");
const files = async () => (await readdir(app, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(app.length + 1)).sort();
const times = async () => Promise.all((await files()).map(async (path) => [path, (await stat(join(app, path))).mtimeMs]));

/** As the installed program does it, whose app is where it is called; the sources take this repository for the app. */
function postcommit(...args: string[]) {
  const main = `import { main } from "${root}/src/commands/index.ts"; await main(${JSON.stringify(args)}, ${JSON.stringify(app)});`;
  return start(process.execPath, ["--import", "tsx", "--input-type=module", "-e", main], {}).ended;
}
const init = (...flags: string[]) => postcommit("init", ...flags);
const stateOf = (stdout: string, path: string) => new RegExp(`^${path.replaceAll(".", "\\.")}\\t(.*)$`, "m").exec(stdout)?.[1];

const generator = `generator client {\n  provider = "prisma-client"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n`;
const invoice = `model Invoice {\n  id Int @id\n}\n`;
const ours = (await readdir(join(root, "prisma/migrations"))).filter((name) => /^\d/.test(name) && !name.endsWith("_demo")).sort().map((name) => `prisma/migrations/${name}/migration.sql`);
const [first = "", last = ""] = [ours[0], ours.at(-1)];

describe("an app with a Prisma schema of several files", () => {
  beforeEach(async () => {
    await file("prisma/schema.prisma", generator);
    await file("prisma/invoice.prisma", invoice);
    await file("tsconfig.json", "{}");
  });

  it("gets the migrations but the demo's, the models as a file more, and a configuration", async () => {
    const { code, stdout, stderr } = await init();
    expect(code).toBe(0);
    expect(await files()).toEqual([...ours, "outbox.config.ts", "package.json", "prisma/invoice.prisma", "prisma/migrations/migration_lock.toml", "prisma/outbox.prisma", "prisma/schema.prisma", "tsconfig.json"].sort());
    for (const path of ours) expect(await text(path)).toBe(await readFile(join(root, path), "utf8"));
    const models = await text("prisma/outbox.prisma");
    expect(models).toContain("model Outbox {");
    expect(models).not.toMatch(/^(generator|datasource|model Proposal)/m);
    expect(stateOf(stdout, "prisma/outbox.prisma")).toBe("added");
    expect(stderr).toContain("Next, with DATABASE_URL set: npx prisma generate && npx postcommit migrate && npx postcommit jobs:drain");
  });

  it("its schema is valid with them", async () => {
    await init();
    expect(await start("npx", ["--no-install", "prisma", "validate", "--schema", join(app, "prisma")], { DATABASE_URL: "postgresql://u:p@127.0.0.1:1/x", PRISMA_SCHEMA_ENGINE_BINARY: join(root, "package.json") }).ended).toMatchObject({ code: 0 });
  });

  it("--dry-run tells the same and writes nothing", async () => {
    const before = await files();
    const { code, stdout, stderr } = await init("--dry-run");
    expect(code).toBe(0);
    expect(await files()).toEqual(before);
    expect(stateOf(stdout, "outbox.config.ts")).toBe("missing");
    expect(stderr).toContain(`Would add ${ours.length + 3} of these files`);
    expect(JSON.parse((await init("-n", "--json")).stdout)).toHaveLength(ours.length + 3);
  });

  it("a second time it changes nothing", async () => {
    await init();
    const before = await times();
    const { code, stderr } = await init();
    expect(code).toBe(0);
    expect(stderr).toContain("Nothing was missing.");
    expect(await times()).toEqual(before);
  });

  it("after an update it adds the new migration, and leaves what was edited as it is, and says so", async () => {
    await init();
    await rm(join(app, dirname(last)), { recursive: true });
    await file(first, "-- edited\n");
    await file("prisma/outbox.prisma", "// edited\n");
    await file("outbox.config.ts", "export default {};\n");
    await file("prisma/migrations/20270101000000_own/migration.sql", "select 1;\n");
    const { code, stdout, stderr } = await init();
    expect(code).toBe(0);
    expect(stderr).toContain("Added 1 file.");
    expect(await text(last)).toBe(await readFile(join(root, last), "utf8"));
    expect([await text(first), await text("prisma/outbox.prisma"), await text("outbox.config.ts")]).toEqual(["-- edited\n", "// edited\n", "export default {};\n"]);
    expect([stateOf(stdout, first), stateOf(stdout, "prisma/outbox.prisma"), stateOf(stdout, "outbox.config.ts")]).toEqual(["left as it is", "left as it is", "there already"]);
    expect(stderr).toContain(`${first} is not what this version of postcommit has`);
    expect(stderr).toContain("delete it and run init again");
  });

  it("a model of the app with the name of one of ours: refused by its name, and nothing is written", async () => {
    await file("prisma/inbox.prisma", "model Notification {\n  id Int @id\n}\n");
    const before = await files();
    const { code, stderr } = await init();
    expect(code).toBe(78);
    expect(stderr).toContain("prisma/inbox.prisma has a model Notification");
    expect(await files()).toEqual(before);
  });

  it("the migrations that it adds, and the app's own, are applied by migrate", async () => {
    await init();
    await file("prisma/migrations/20250101000000_own/migration.sql", "create table app_invoice (id int primary key);\n");
    const db = await emptyDatabase();
    try {
      await file(".env", `DATABASE_URL=${db.url}\n`);
      await rm(join(app, "outbox.config.ts"));
      expect((await postcommit("migrate")).stderr).toContain("Applied 20250101000000_own.");
      const { rows } = await db.pool.query<{ name: string | null }>("select to_regclass(name)::text as name from unnest(array['app_invoice', 'outbox', 'demo_proposal']) as name");
      expect(rows.map(({ name }) => name)).toEqual(["app_invoice", "outbox", null]);
    } finally {
      await db.close();
    }
  });
});

it("a schema of one file stays as it is; --models prints what to add to it, and with that nothing is left to do", async () => {
  await file("prisma/schema.prisma", generator + invoice);
  const { code, stderr } = await init();
  expect(code).toBe(0);
  expect(stderr).toContain("npx postcommit init --models >> prisma/schema.prisma");
  expect(await text("prisma/schema.prisma")).toBe(generator + invoice);
  const { stdout } = await init("--models");
  await file("prisma/schema.prisma", generator + invoice + stdout);
  expect((await init()).stderr).toContain("prisma/schema.prisma has the models already");
  expect(await files()).not.toContain("prisma/outbox.prisma");
});

it("a schema that prisma.config.ts calls a folder, with one file so far, takes the models there", async () => {
  await file("prisma.config.ts", `import { defineConfig } from "prisma/config";\nexport default defineConfig({ schema: "./prisma/schema", migrations: { path: "prisma/migrations" } });\n`);
  await file("prisma/schema/schema.prisma", generator);
  expect((await init()).code).toBe(0);
  expect(await files()).toContain("prisma/schema/outbox.prisma");
});

it.each([
  [`{ "type": "module" }`, true, "outbox.config.ts"],
  [`{ "type": "module" }`, false, "outbox.config.js"],
  [`{}`, true, "outbox.config.mts"],
  [`{}`, false, "outbox.config.mjs"],
])("an app without Prisma, of %s, TypeScript: %s: gets migrations and %s, which is read", async (manifest, typescript, name) => {
  await file("package.json", manifest);
  if (typescript) await file("tsconfig.json", "{}");
  const { code, stderr } = await init();
  expect(code).toBe(0);
  expect(stderr).toContain("There is no Prisma schema here");
  expect(await files()).toEqual([...ours, name, "package.json", "prisma/migrations/migration_lock.toml", ...(typescript ? ["tsconfig.json"] : [])].sort());
  // Where the package is installed it is found; here it is put where an app has it.
  await cp(join(root, "package.json"), join(app, "node_modules/postcommit/package.json"), { recursive: true });
  const { stdout, stderr: problem } = await postcommit("config:show");
  expect(problem).toBe("");
  expect(stdout).toMatch(/^dataDir\tvar\tdefault/m);
});

it("in postcommit's own folder it is refused, with where to run it", async () => {
  expect(await cli(["init"])).toMatchObject({ code: 2, stderr: expect.stringContaining("In the app's folder run: npx postcommit init") as string });
});

it("a folder that cannot be written to: exit 78 with the file and the reason", async () => {
  await file("prisma", "not a folder");
  const { code, stderr } = await init();
  expect(code).toBe(78);
  expect(stderr).toMatch(/prisma\/migrations\/\S+ cannot be read: .*Nothing was written\.$/m);
});
