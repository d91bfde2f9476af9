// jobs:resolve: a person says what became of an effect in doubt, so that its job can be retried.

import type { Command } from "commander";
import { Option } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { visible } from "../service/visible.ts";
import { quoted } from "../outbox/shell.ts";
import { ask, canAsk, consentFlags } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { noSuchJob } from "./jobs-why.ts";
import { note, printValue } from "./output.ts";
import { withService } from "./with-service.ts";

interface ResolveFlags {
  readonly happened?: "yes" | "no";
  readonly result?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly reason?: string;
  readonly json?: boolean;
  readonly input: boolean;
}

export function jobsResolve(program: Command, context: CommandContext): void {
  program
    .command("jobs:resolve")
    .description("say whether an effect in doubt happened, so that its job can be retried")
    .argument("<id>", "the job")
    .argument("<effect>", "the effect's name, as jobs:get shows it")
    .addOption(new Option("--happened <answer>", "yes: it is not done again; no: the next attempt begins it anew").choices(["yes", "no"]))
    .option("--result <json>", "what it gave back, for the handler; only for one that happened")
    .option("-n, --dry-run", "say what would change, change nothing")
    .option("--yes", "change without asking; needed off a terminal")
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--json", "print one JSON document")
    .option("--no-input", "never ask")
    .addHelpText("before", "Examples:\n  npm run -s app:cli -- jobs:resolve 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 capture --happened yes --result '{\"id\":\"ch_1\"}'\n  npm run -s app:cli -- jobs:resolve 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 capture --happened no --yes\n  npm run app:cli jobs:get 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61\n")
    .addHelpText("after", "\nExit codes: 0 done, 2 usage or missing confirmation, 5 there is no such job, or no effect of that name is in doubt, 69 database unreachable, 78 configuration.")
    .action(async (id: string, effect: string, flags: ResolveFlags) => context.exitWith(await resolve(context, id, effect, flags)));
}

async function resolve(context: CommandContext, id: string, name: string, flags: ResolveFlags): Promise<number> {
  const { io } = context;
  const { happened, reason } = flags;
  if (happened === undefined) throw new OutboxError("USAGE", "Expected --happened yes or --happened no: whether it happened is what has to be said.");
  if (flags.result !== undefined && happened === "no") throw new OutboxError("USAGE", "Expected --result only with --happened yes: what did not happen has no result.");
  const { parseJson } = await import("./db-outbox/parse-json.ts");
  const result = flags.result === undefined ? undefined : parseJson(flags.result, io.columns);
  if (flags.yes !== true && flags.dryRun !== true && !(canAsk(io) && flags.input)) {
    const line = ["npm run -s app:cli -- jobs:resolve", id, quoted(visible(name)), `--happened ${happened}`, ...(flags.result === undefined ? [] : [`--result ${quoted(visible(flags.result))}`]), ...consentFlags({ yes: true, confirm: null, reason: reason ?? null })].join(" ");
    throw new OutboxError("USAGE", `This needs a yes, and nobody can be asked. Nothing was changed. To run it:\n  ${line}`);
  }
  return withService(context, async (service) => {
    const job = await service.outbox.get(id);
    if (job === null) throw noSuchJob(id);
    const effect = job.effects.find((each) => each.name === name && each.state !== "done");
    if (effect === undefined) throw notInDoubt(id, name, job.effects.map((each) => `${each.name} (${each.state})`));
    if (job.status === "processing") throw new OutboxError("CONFLICT", `Job ${id} is running, and its handler may yet finish "${visible(name)}". Nothing was changed. Wait for it, or cancel it.`);
    const meaning = happened === "yes" ? "happened, and is not done again" : "did not happen, and is begun anew by the next attempt";
    const sentence = `effect "${visible(name)}" of job ${id}, begun by attempt ${effect.attempt}: it ${meaning}`;
    if (flags.dryRun === true) {
      await printValue(io, flags.json === true ? { dryRun: true, id, effect: name, happened: happened === "yes" } : 1, { json: flags.json ?? false, ndjson: false });
      await note(io, {}, `Dry run, nothing was changed. Would write down for ${sentence}.`);
      return exitCodes.ok;
    }
    if (flags.yes !== true && !(await ask(io, `Write down for ${sentence}?`))) {
      await note(io, {}, "Nothing was changed.");
      return exitCodes.usage;
    }
    const options = { happened: happened === "yes", actor: io.actor, ...(reason !== undefined && { reason }), ...(result !== undefined && { result }) };
    if (!(await service.outbox.resolveEffect(id, name, options))) throw notInDoubt(id, name, []);
    await printValue(io, flags.json === true ? { dryRun: false, id, effect: name, happened: happened === "yes" } : 1, { json: flags.json ?? false, ndjson: false });
    await note(io, {}, `Written down. Next: npm run app:cli -- jobs:retry --id ${id}`);
    return exitCodes.ok;
  });
}

function notInDoubt(id: string, name: string, others: readonly string[]): OutboxError {
  return new OutboxError("NOT_FOUND", `Job ${id} has no effect "${visible(name)}" that is begun or in doubt.${others.length === 0 ? "" : ` It has ${visible(others.join(", "))}.`}`);
}
