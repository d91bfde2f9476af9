// What `postcommit init` would put into an app: looks at everything, writes nothing. Next: schema.ts (the models), write.ts.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import { failureOf } from "../../outbox/failure.ts";
import { configNames } from "../config-file.ts";
import { planModels } from "./schema.ts";

/** A file that the app should have, and what of it is there. */
export interface PlannedFile {
  /** From the app's folder. */
  readonly path: string;
  /** `differs`: it is there with other contents, and stays as it is. */
  readonly state: "missing" | "there" | "differs";
  readonly text: string;
}

export interface InitPlan {
  readonly files: readonly PlannedFile[];
  /** What a person has to do, one sentence or two each. */
  readonly advice: readonly string[];
  readonly usesPrisma: boolean;
}

/** `app` is the app's folder, `ours` that of this package. */
export async function planInit(app: string, ours: string): Promise<InitPlan> {
  const models = await planModels(app, ours);
  const files = [...(await migrationFiles(app, ours)), ...models.files, ...(await configFile(app))];
  const changed = files.filter(({ path, state }) => state === "differs" && path.startsWith("prisma/migrations/"));
  const edited = changed.map(({ path }) => `${path} is not what this version of postcommit has. It was left as it is: a migration that a database has must not change.`);
  return { files, advice: [...edited, ...models.advice], usesPrisma: models.usesPrisma };
}

/** The migrations of the demo are not part of what is published; of a clone they are left out here. */
async function migrationFiles(app: string, ours: string): Promise<PlannedFile[]> {
  const entries = await readdir(join(ours, "prisma/migrations"), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.endsWith("_demo")).map(({ name }) => name);
  const paths = names.sort().map((name) => `prisma/migrations/${name}/migration.sql`);
  const files = await Promise.all(paths.map(async (path) => planned(app, path, await readFile(join(ours, path), "utf8"))));
  // Prisma demands it beside migrations. The app's own may be worded differently.
  const lockName = "prisma/migrations/migration_lock.toml";
  const lock = await planned(app, lockName, await readFile(join(ours, lockName), "utf8"));
  return [...files, { ...lock, state: lock.state === "missing" ? "missing" : "there" }];
}

async function configFile(app: string): Promise<PlannedFile[]> {
  const present = await Promise.all(configNames.map((name) => textOf(join(app, name))));
  const existing = configNames.find((_, index) => present[index] !== null);
  if (existing !== undefined) return [{ path: existing, state: "there", text: "" }];
  // In a package of CommonJS, .ts and .js would be CommonJS too, and could not import an ES module everywhere.
  const typescript = (await textOf(join(app, "tsconfig.json"))) !== null;
  const isModule = /"type"\s*:\s*"module"/.test((await textOf(join(app, "package.json"))) ?? "");
  return [{ path: `outbox.config.${isModule ? "" : "m"}${typescript ? "ts" : "js"}`, state: "missing", text: config }];
}

const config = `// What postcommit is told. Environment variables (and .env) go before what stands here.
import { defineConfig } from "postcommit";

export default defineConfig({
  // The folder of your handlers: a file more is a job type more.
  // handlers: "./handlers",
});
`;

export async function planned(app: string, path: string, text: string): Promise<PlannedFile> {
  const present = await textOf(join(app, path));
  return { path, text, state: present === null ? "missing" : present === text ? "there" : "differs" };
}

/** Null: there is no such file. */
export async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
    throw new OutboxError("CONFIGURATION", `${path} cannot be read: ${failureOf(cause).message}. Nothing was written.`, { cause });
  }
}
