// jobs:get: all that is known of one job, with everything that happened to it as one timeline.

import type { Command } from "commander";
import type { JobDetails } from "../outbox/inspect-jobs.ts";
import { redact, redactRow } from "../service/redact.ts";
import { visible, visibleJson } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { noSuchJob } from "./jobs-why.ts";
import { printRows, printValue, write } from "./output.ts";
import { withService } from "./with-service.ts";

interface GetFlags {
  readonly reveal?: boolean;
  readonly stack?: boolean;
  readonly json?: boolean;
}

export function jobsGet(program: Command, context: CommandContext): void {
  program
    .command("jobs:get")
    .description("show a job, its payload, its effects and everything that happened to it")
    .argument("<id>", "the job")
    .option("--reveal", "show values that look like secrets")
    .option("--stack", "show the stacks of its failures")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:get 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61\n  npm run -s app:cli -- jobs:get 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --stack\n  npm run -s app:cli -- jobs:get 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --json\n")
    .addHelpText("after", "\nExit codes: 0 done, 2 usage, 5 there is no such job, 69 database unreachable, 78 configuration.")
    .action(async (id: string, flags: GetFlags) => {
      await withService(context, async (service) => {
        const found = await service.outbox.get(id);
        if (found === null) throw noSuchJob(id);
        await print(context, flags.reveal === true ? found : withoutSecrets(found), flags);
      });
    });
}

function withoutSecrets(job: JobDetails): JobDetails {
  const { payload, result, checkpoint } = redactRow({ payload: job.payload, result: job.result, checkpoint: job.checkpoint });
  return { ...job, payload, result, checkpoint, effects: job.effects.map((effect) => ({ ...effect, result: redact(effect.result) })) };
}

async function print({ io }: CommandContext, job: JobDetails, { json = false, stack = false }: GetFlags): Promise<void> {
  if (json) return printValue(io, job, { json, ndjson: false });
  const { effects, timeline, ...fields } = job;
  const rows = Object.entries(fields).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0));
  await write(io.stdout, rows.map(([name, value]) => `${name.padEnd(14)}${shown(value)}\n`).join(""));
  if (effects.length > 0) {
    await write(io.stdout, "\nEffects\n");
    await printRows(io, effects.map((effect) => ({ ...effect })), { json: false, ndjson: false });
  }
  await write(io.stdout, "\nTimeline\n");
  await printRows(io, timeline.map(({ at, what, attempt, who, detail }) => ({ at, what, attempt, who, detail })), { json: false, ndjson: false }, ["at", "what", "attempt", "detail", "who"]);
  for (const { what, attempt, stack: text } of stack ? timeline : []) {
    if (text !== null) await write(io.stdout, `\nAttempt ${attempt ?? "?"}, ${what}\n${text.split("\n").map((line) => `  ${visible(line)}\n`).join("")}`);
  }
}

function shown(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === "string" ? visible(value) : visibleJson(value);
}
