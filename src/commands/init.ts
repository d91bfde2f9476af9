// init: puts into an app what postcommit needs there: migrations, models, a configuration.

import type { Command } from "commander";
import { packageDir } from "../service/place.ts";
import type { CommandContext } from "./context.ts";
import { note, printRows, write } from "./output.ts";

interface InitFlags {
  readonly dryRun?: boolean;
  readonly models?: boolean;
  readonly json?: boolean;
}

export function init(program: Command, context: CommandContext): void {
  program
    .command("init")
    .description("put the migrations, the Prisma models and a configuration into an app that has installed postcommit")
    .option("-n, --dry-run", "say what would be written, write nothing")
    .option("--models", "print the Prisma models, for a schema of one file; writes nothing")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npx postcommit init\n  npx postcommit init --dry-run\n  npx postcommit init --models >> prisma/schema.prisma\n")
    .addHelpText("after", "\nNothing that is there is ever written over, so it may be run again, and after an update of postcommit it should be: it adds the new migrations.\nExit codes: 0 done (also when nothing was missing), 2 usage, 78 a file cannot be written, or a model of yours has the name of one of ours.")
    .action((flags: InitFlags) => run(context, flags));
}

async function run({ io, root }: CommandContext, { dryRun = false, models = false, json = false }: InitFlags): Promise<void> {
  const [{ planInit }, { modelsOf }, { writePlan }, { OutboxError }] = await Promise.all([import("../service/init/plan.ts"), import("../service/init/schema.ts"), import("../service/init/write.ts"), import("../outbox/errors.ts")]);
  if (models) return write(io.stdout, `\n${await modelsOf(packageDir)}`);
  if (root === packageDir) throw new OutboxError("USAGE", "Expected an app that has installed postcommit: this is postcommit's own folder, which has everything already. In the app's folder run: npx postcommit init");
  const plan = await planInit(root, packageDir);
  if (!dryRun) await writePlan(root, plan);
  const missing = plan.files.filter(({ state }) => state === "missing").length;
  const done = { missing: dryRun ? "missing" : "added", there: "there already", differs: "left as it is" } as const;
  await printRows(io, plan.files.map(({ path, state }) => ({ file: path, state: done[state] })), { json, ndjson: false });
  for (const sentence of plan.advice) await note(io, {}, sentence);
  if (dryRun) return note(io, {}, `Dry run, nothing was changed. ${missing === 0 ? "Nothing is missing." : `Would add ${missing} of these files.`}`);
  const next = [...(plan.usesPrisma ? ["npx prisma generate"] : []), "npx postcommit migrate", "npx postcommit jobs:drain"];
  await note(io, {}, `${missing === 0 ? "Nothing was missing." : `Added ${missing} ${missing === 1 ? "file" : "files"}.`} Next, with DATABASE_URL set: ${next.join(" && ")}`);
}
