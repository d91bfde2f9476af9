// The outbox's models for the app's own Prisma schema: without them `prisma migrate dev` would want to drop the tables.
// A schema of several files takes them as a file more; one of a single file is the app's to edit.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { OutboxError } from "../../outbox/errors.ts";
import type { PlannedFile } from "./plan.ts";
import { planned, textOf } from "./plan.ts";

const folder = "prisma";
const fileName = "outbox.prisma";

export interface PlannedModels {
  readonly files: readonly PlannedFile[];
  readonly advice: readonly string[];
  readonly usesPrisma: boolean;
}

export async function planModels(app: string, ours: string): Promise<PlannedModels> {
  const text = await modelsOf(ours);
  const schema = await findSchema(app);
  if (schema === null) return { files: [], usesPrisma: false, advice: ["There is no Prisma schema here, so no models were added: jobs are written and read by SQL all the same."] };
  const others = schema.files.filter(({ path }) => path !== `${schema.folder}/${fileName}`);
  const has = others.find((file) => /@@map\("outbox"\)/.test(file.text));
  if (has !== undefined) return { files: [], usesPrisma: true, advice: [`${has.path} has the models already. If it is of an older version, compare it with \`npx postcommit init --models\`.`] };
  refuseSameNames(text, others);
  if (schema.several) {
    const file = await planned(app, `${schema.folder}/${fileName}`, text);
    const advice = file.state === "differs" ? [`${file.path} is not what this version of postcommit has. It was left as it is; to take the new one, delete it and run init again.`] : [];
    return { files: [file], usesPrisma: true, advice };
  }
  const only = others[0]?.path ?? `${folder}/schema.prisma`;
  const advice = `Your schema is one file, which stays as it is. Add the models: npx postcommit init --models >> ${only}. Or make the folder the schema, by schema: "${folder}" in prisma.config.ts, and run init again.`;
  return { files: [], usesPrisma: true, advice: [advice] };
}

/** Our models without the generator and the database, which are the app's own. */
export async function modelsOf(ours: string): Promise<string> {
  const text = await readFile(join(ours, folder, "schema.prisma"), "utf8");
  const models = text.replaceAll(/^(generator|datasource) \w+ \{[^}]*\}\n+/gm, "");
  return models.replace(/^\/\/.*\n(\/\/.*\n)*/, "// The models of postcommit, for queries by Prisma. Made by `postcommit init`; the tables are made by the migrations.\n");
}

interface Schema {
  /** From the app's folder. */
  readonly folder: string;
  readonly several: boolean;
  readonly files: readonly { readonly path: string; readonly text: string }[];
}

async function findSchema(app: string): Promise<Schema | null> {
  const configured = await configuredPath(app);
  if (configured !== null) {
    const found = await stat(join(app, configured)).catch(() => null);
    if (found?.isDirectory() === true) return { folder: configured, several: true, files: await filesIn(app, configured) };
    if (found?.isFile() === true) return { folder, several: false, files: [{ path: configured, text: await readFile(join(app, configured), "utf8") }] };
  }
  const files = await filesIn(app, folder);
  return files.length === 0 ? null : { folder, several: files.length > 1, files };
}

/** What prisma.config.ts or package.json say. Read as text, because the first may not load before `prisma generate` has run. */
async function configuredPath(app: string): Promise<string | null> {
  for (const name of ["prisma.config.ts", "prisma.config.mts", "prisma.config.js", "prisma.config.mjs"]) {
    const path = /\bschema\s*:\s*(?:[\w.]*join\(\s*)?["'`](.+?)["'`]\s*(?:,\s*["'`](.+?)["'`])?/.exec((await textOf(join(app, name))) ?? "");
    if (path?.[1] !== undefined) return [path[1], ...(path[0].includes("join(") && path[2] !== undefined ? [path[2]] : [])].join("/").replace(/^\.\//, "").replace(/\/$/, "");
  }
  const { prisma } = JSON.parse((await textOf(join(app, "package.json"))) ?? "{}") as { prisma?: { schema?: unknown } };
  return typeof prisma?.schema === "string" ? prisma.schema.replace(/^\.\//, "").replace(/\/$/, "") : null;
}

async function filesIn(app: string, path: string): Promise<{ path: string; text: string }[]> {
  const names = await readdir(join(app, path)).catch(() => []);
  return Promise.all(names.filter((name) => name.endsWith(".prisma")).sort().map(async (name) => ({ path: `${path}/${name}`, text: await readFile(join(app, path, name), "utf8") })));
}

function refuseSameNames(ours: string, files: Schema["files"]): void {
  const names = new Set(modelNames(ours));
  for (const { path, text } of files) {
    const same = modelNames(text).find((name) => names.has(name));
    if (same === undefined) continue;
    throw new OutboxError("CONFIGURATION", `${path} has a model ${same}, and postcommit has one too. Nothing was written. Rename yours, keeping its table by @@map; if that table is called as postcommit's is (see npx postcommit init --models), they cannot live in one database schema.`);
  }
}

function modelNames(text: string): string[] {
  return [...text.matchAll(/^model (\w+)/gm)].map(([, name = ""]) => name);
}
