// errors: what failed, grouped by cause, and the line that retries each group. Next: outbox/inspect-failures.ts.

import type { Command } from "commander";
import type { FailureGroup, Failures } from "../outbox/inspect-failures.ts";
import { cut, visible } from "../service/visible.ts";
import { quoted } from "../outbox/shell.ts";
import type { CommandContext } from "./context.ts";
import { duration, list, wholeNumber } from "./flags.ts";
import { note, printValue, write } from "./output.ts";
import { withService } from "./with-service.ts";

interface ErrorsFlags {
  readonly type?: string[];
  readonly since: number;
  readonly limit: number;
  readonly json?: boolean;
}

const messageColumns = 400;

export function errors(program: Command, context: CommandContext): void {
  program
    .command("errors")
    .description("show what failed, grouped by cause, with the line that retries each group")
    .option("--type <types>", "only these types, with commas between them", list)
    .option("--since <time>", "failures of this time until now, for example 30m, 24h or 7d", duration, 86_400_000)
    .option("--limit <n>", "groups at most, 1000 at most; those that failed last come first", wholeNumber, 20)
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli errors\n  npm run -s app:cli -- errors --type email.send,webhook.send --since 1h\n  npm run -s app:cli -- errors --json\n")
    .addHelpText(
      "after",
      "\nA group is one type and one fingerprint: of the error's class, its message without ids, numbers and what stands in quotes, and the topmost frame of its stack that is no library's.\nThe newest 100,000 entries of the ledger of attempts are looked at, with 20,000 different texts at most.\nExit codes: 0 done (also when nothing failed), 2 usage, 69 database unreachable, 78 configuration.",
    )
    .action(async (flags: ErrorsFlags) => {
      const { listFailures } = await import("../outbox/inspect-failures.ts");
      await withService(context, async (service) => {
        const { type, since, limit } = flags;
        await print(context, flags, await listFailures(service.database, { since, limit, ...(type && { types: type }) }));
      });
    });
}

async function print({ io }: CommandContext, { json }: ErrorsFlags, { groups, more, complete }: Failures): Promise<void> {
  if (json === true) {
    await printValue(io, { complete, more, groups: groups.map((group) => ({ ...group, retry: retryLine(group) })) }, { json: true, ndjson: false });
    return;
  }
  if (groups.length === 0) await note(io, {}, "Nothing failed in this time.");
  else if (io.stdoutIsTty) await write(io.stdout, groups.map((group) => paragraph(group, io.columns)).join("\n"));
  else await write(io.stdout, `${[columns, ...groups.map(line)].map((cells) => cells.join("\t")).join("\n")}\n`);
  if (more > 0) await note(io, {}, `${more} more ${more === 1 ? "group" : "groups"}. --limit shows more.`);
  if (!complete) await note(io, {}, "Not all failures of this time were looked at, only the newest 100,000 entries of the ledger, with 20,000 different texts. Counts are of those.");
}

const columns = ["fingerprint", "type", "class", "failed", "dead", "first", "last", "job", "frame", "message", "retry"];

function line(group: FailureGroup): string[] {
  const { fingerprint, type, errorClass, count, dead, firstAt, lastAt, jobId, topFrame, message } = group;
  return [fingerprint, visible(type), visible(errorClass ?? ""), String(count), String(dead), firstAt.toISOString(), lastAt.toISOString(), jobId, visible(topFrame ?? ""), shown(message), retryLine(group) ?? ""];
}

/** What a person reads: how many, since when, what it says, where, and what to do about it. */
function paragraph(group: FailureGroup, width: number): string {
  const { fingerprint, type, errorClass, count, dead, firstAt, lastAt, jobId, topFrame, message } = group;
  const failed = count === 0 ? "made by hand" : `${count} failed ${count === 1 ? "attempt" : "attempts"}`;
  const times = firstAt.getTime() === lastAt.getTime() ? `at ${lastAt.toISOString()}` : `${firstAt.toISOString()} to ${lastAt.toISOString()}`;
  const retry = retryLine(group);
  const lines = [
    `${fingerprint}  ${visible(type)}  ${failed}, ${dead} dead ${dead === 1 ? "letter" : "letters"} now  ${times}`,
    `  ${cut(`${errorClass === null ? "" : `${visible(errorClass)}: `}${shown(message)}`, Math.max(40, width * 2))}`,
    `  ${topFrame === null ? "" : `in ${visible(topFrame)}; `}for example job ${jobId}`,
    ...(retry === null ? [] : [`  ${retry}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/** Null: there is no dead letter in it to retry. */
function retryLine({ type, fingerprint, dead }: FailureGroup): string | null {
  return dead === 0 ? null : `npm run -s app:cli -- jobs:retry --type ${quoted(visible(type))} --fingerprint ${fingerprint}`;
}

function shown(message: string | null): string {
  return cut(visible(message ?? "(no message)"), messageColumns);
}
