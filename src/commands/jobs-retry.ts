// jobs:retry: dead letters back to pending, or whatever else is selected made due now.

import type { Command } from "commander";
import { jobs } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import type { ActFlags } from "./act-on-jobs.ts";
import { actOnJobs, addActFlags } from "./act-on-jobs.ts";
import { wholeNumber } from "./flags.ts";

export function jobsRetry(program: Command, context: CommandContext): void {
  addActFlags(program.command("jobs:retry").description("run jobs again: dead letters, or those in the status that is asked for"))
    .option("--attempts <n>", "attempts that each has left at least", wholeNumber, 1)
    .addHelpText("before", "Examples:\n  npm run -s app:cli -- jobs:retry --type email.send --error ECONNREFUSED --dry-run\n  npm run -s app:cli -- jobs:retry --status error --older-than 1h --reason 'the mail server is back'\n  npm run -s app:cli -- jobs:retry 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --yes\n")
    .addHelpText(
      "after",
      "\nWithout --status it is about dead letters; jobs that are named by their ids may also be cancelled, or pending and not due yet. jobs:list with the same flags shows what is selected.\nJobs whose dedupe key a later one holds are left out. All of them are changed, or none.\nExit codes: 0 done (also when none is selected), 2 usage, missing confirmation, or another number than expected, 69 database unreachable, 78 configuration.",
    )
    .action(async (ids: string[], flags: ActFlags & { readonly attempts: number }) => {
      const { attempts } = flags;
      const verbs = { did: "Retried", would: "Would retry", do: "Retry" };
      context.exitWith(
        await actOnJobs(context, ids, flags, {
          verb: "retry",
          past: "retried",
          more: attempts === 1 ? [] : [`--attempts ${attempts}`],
          change: (outbox, filter, options) => outbox.retry(filter, { ...options, attempts }),
          sentence: (tense, { count }) => `${verbs[tense]} ${jobs(count)}`,
          next: "npm run app:cli jobs:drain",
        }),
      );
    });
}
