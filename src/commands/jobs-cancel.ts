// jobs:cancel: jobs that have not ended shall not run; those that run are told to stop.

import type { Command } from "commander";
import { jobs } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import type { ActFlags } from "./act-on-jobs.ts";
import { actOnJobs, addActFlags } from "./act-on-jobs.ts";

export function jobsCancel(program: Command, context: CommandContext): void {
  addActFlags(program.command("jobs:cancel").description("cancel jobs that have not ended, running ones too"))
    .addHelpText("before", "Examples:\n  npm run -s app:cli -- jobs:cancel 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61\n  npm run -s app:cli -- jobs:cancel --type data.sync --status waiting,pending --dry-run\n  npm run -s app:cli -- jobs:cancel --tag release-42 --yes --reason 'rolled back'\n")
    .addHelpText(
      "after",
      "\nWaiting, pending and processing jobs are cancelled. The handler of one that runs gets the abort of its signal within two seconds, on whatever host; nothing it does after that is stored. What it has sent already is sent.\nExit codes: 0 done (also when none is selected), 2 usage, missing confirmation, or another number than expected, 69 database unreachable, 78 configuration.",
    )
    .action(async (ids: string[], flags: ActFlags) => {
      const verbs = { did: "Cancelled", would: "Would cancel", do: "Cancel" };
      context.exitWith(
        await actOnJobs(context, ids, flags, {
          verb: "cancel",
          past: "cancelled",
          more: [],
          change: (outbox, filter, options) => outbox.cancel(filter, options),
          sentence: (tense, { count, running }) => `${verbs[tense]} ${jobs(count)}${running === 0 ? "" : `, ${running} of them running`}`,
          next: "npm run -s app:cli -- jobs:list --status cancelled",
        }),
      );
    });
}
