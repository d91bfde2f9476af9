// jobs:why: every gate that keeps a job from running, with the fact behind each and the command that lifts it.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { Why } from "../outbox/why.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { printValue, write } from "./output.ts";
import { withService } from "./with-service.ts";

export function jobsWhy(program: Command, context: CommandContext): void {
  program
    .command("jobs:why")
    .description("say why a job does not run: every gate in its way, and what lifts it")
    .argument("<id>", "the job")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:why 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61\n  npm run -s app:cli -- jobs:why 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --json\n  npm run app:cli jobs:list\n")
    .addHelpText("after", "\nExit codes: 0 done, 2 usage, 5 there is no such job, 69 database unreachable, 78 configuration.")
    .action(async (id: string, { json = false }: { json?: boolean }) => {
      await withService(context, async (service) => {
        const found = await service.outbox.why(id);
        if (found === null) throw noSuchJob(id);
        if (json) await printValue(context.io, found, { json, ndjson: false });
        else await write(context.io.stdout, lines(found));
      });
    });
}

export function noSuchJob(id: string): OutboxError {
  return new OutboxError("NOT_FOUND", `There is no job ${visible(id)}: the transaction that enqueued it has not committed, was rolled back, or the job was pruned.`);
}

function lines({ id, type, status, gates, verdict }: Why): string {
  const head = `${visible(type)} ${id} is ${status}.\n`;
  if (gates.length === 0) return `${head}${visible(verdict)}\n`;
  const width = Math.max(...gates.map(({ gate }) => gate.length)) + 2;
  const shown = gates.map(({ gate, fact, lift }) => `${gate.padEnd(width)}${visible(fact)}\n${lift === null ? "" : `${" ".repeat(width)}npm run app:cli -- ${visible(lift)}\n`}`);
  return head + shown.join("");
}
