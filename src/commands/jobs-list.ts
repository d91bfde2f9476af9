// jobs:list: jobs by the selection flags, newest first.

import type { Command } from "commander";
import type { JobSummary } from "../outbox/inspect-jobs.ts";
import type { CommandContext } from "./context.ts";
import { wholeNumber } from "./flags.ts";
import type { OutputRow } from "./output.ts";
import { note, printRows } from "./output.ts";
import type { SelectionFlags } from "./selection.ts";
import { addSelectionFlags, filterOf } from "./selection.ts";
import { withService } from "./with-service.ts";

interface ListFlags extends SelectionFlags {
  readonly limit: number;
  readonly after?: string;
  readonly json?: boolean;
  readonly ndjson?: boolean;
  readonly quiet?: boolean;
}

export function jobsList(program: Command, context: CommandContext): void {
  addSelectionFlags(program.command("jobs:list").description("show jobs, newest first; with the flags of jobs:retry it shows what that would be about"))
    .option("--limit <n>", "jobs at most", wholeNumber, 50)
    .option("--after <id>", "those that come after this one: the next page")
    .option("--json", "print one JSON document")
    .option("--ndjson", "print one JSON document a line")
    .option("-q, --quiet", "leave the notices on stderr out")
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:list\n  npm run -s app:cli -- jobs:list --status error --type email.send --older-than 1h\n  npm run -s app:cli -- jobs:list --payload customer.id=42 --json\n")
    .addHelpText("after", "\nA search that no index serves is ended after 10 s.\nExit codes: 0 done (also when there is none), 1 it took too long, 2 usage, 69 database unreachable, 78 configuration.")
    .action(async (flags: ListFlags) => {
      await withService(context, async (service) => {
        const found = await service.outbox.list(filterOf(flags) ?? { all: true }, { limit: flags.limit, ...(flags.after !== undefined && { after: flags.after }) });
        const { json = false, ndjson = false, quiet = false } = flags;
        await printRows(context.io, json || ndjson ? found.map((job) => ({ ...job })) : found.map(jobRow), { json, ndjson, quiet }, json || ndjson ? undefined : jobColumns);
        const last = found.at(-1);
        if (last !== undefined && found.length === flags.limit) await note(context.io, flags, `Only the first ${flags.limit}. For more: --limit, or --after ${last.id}`);
      });
    });
}

export const jobColumns = ["id", "type", "status", "attempts", "createdAt", "dueAt", "lastError", "finishedAt", "owner", "key", "orderingKey", "tags"];

/** A job as one line of a table. */
export function jobRow({ id, type, status, attempts, maxAttempts, runAt, createdAt, finishedAt, lastError, owner, dedupeKey, orderingKey, tags }: JobSummary): OutputRow {
  const dueAt = status === "pending" ? runAt : null;
  return { id, type, status, attempts: `${attempts}/${maxAttempts}`, createdAt, dueAt, lastError, finishedAt, owner, key: dedupeKey, orderingKey, tags: tags.join(",") };
}
