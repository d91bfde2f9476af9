// Puts schedules:list, schedules:run, schedules:pause and schedules:resume on the command line; what they do is in
// schedules/actions.ts.

import type { Command } from "commander";
import type { CommandContext } from "./context.ts";
import type { ActionFlags } from "./schedules/actions.ts";

const exits = "\nExit codes: 0 done (also when there was nothing to change), 2 usage, 5 no such schedule, 69 database unreachable, 78 configuration.";

const actions = () => import("./schedules/actions.ts");

export function scheduleCommands(program: Command, context: CommandContext): void {
  program
    .command("schedules:list")
    .description("show every schedule: when it fires next, when it last did, whether it is paused")
    .option("--json", "print one JSON document")
    .option("--ndjson", "print one JSON document a line")
    .addHelpText("before", "Examples:\n  npm run app:cli schedules:list\n  npm run -s app:cli -- schedules:list --json\n  npm run app:cli schedules:run nightly-report\n")
    .addHelpText("after", "\nExit codes: 0 done (also when there is none), 69 database unreachable, 78 configuration.")
    .action(async (flags: { json?: boolean; ndjson?: boolean }) => (await actions()).listAll(context, { json: flags.json ?? false, ndjson: flags.ndjson ?? false }));
  action(program, "run", "enqueue one job of a schedule now, beside its slots, also while it is paused")
    .addHelpText("before", "Examples:\n  npm run app:cli schedules:run nightly-report\n  npm run -s app:cli -- schedules:run nightly-report --reason 'the night was lost'\n  npm run -s app:cli -- schedules:run nightly-report --dry-run\n")
    .action(async (name: string, flags: ActionFlags) => (await actions()).runNow(context, name, flags));
  action(program, "pause", "let the slots of a schedule pass unfired until it is resumed")
    .addHelpText("before", "Examples:\n  npm run -s app:cli -- schedules:pause nightly-report --reason 'the printer is broken'\n  npm run -s app:cli -- schedules:pause nightly-report --dry-run\n  npm run app:cli schedules:list\n")
    .action(async (name: string, flags: ActionFlags) => (await actions()).setPaused(context, name, flags, true));
  action(program, "resume", "fire the slots of a paused schedule again, from now on")
    .addHelpText("before", "Examples:\n  npm run app:cli schedules:resume nightly-report\n  npm run -s app:cli -- schedules:resume nightly-report --reason 'the printer prints'\n  npm run app:cli schedules:list\n")
    .action(async (name: string, flags: ActionFlags) => (await actions()).setPaused(context, name, flags, false));
}

function action(program: Command, verb: string, description: string): Command {
  return program
    .command(`schedules:${verb}`)
    .description(description)
    .argument("<name>", "the schedule's name, as schedules:list shows it")
    .option("-n, --dry-run", "say what would change, change nothing")
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--json", "print one JSON document")
    .addHelpText("after", exits);
}
