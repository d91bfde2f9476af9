// jobs:replay --dry-run: what today's handler would do with a stored job. Next: service/replay/replay.ts.

import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { checkJobId } from "../outbox/filter.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { duration } from "./flags.ts";
import { note, printValue, write } from "./output.ts";
import { stopSignals } from "./stop-signals.ts";

interface ReplayFlags {
  readonly dryRun?: boolean;
  readonly timeout: number;
  readonly answer?: number;
  readonly answerBody?: string;
  readonly reveal?: boolean;
  readonly json?: boolean;
}

export function jobsReplay(program: Command, context: CommandContext): void {
  program
    .command("jobs:replay")
    .alias("replay")
    .description("try today's handler on a stored job: nothing is sent, nothing is kept")
    .argument("<id>", "the job, in whatever status")
    .option("-n, --dry-run", "needed: jobs:retry is what runs a job for real")
    .option("--timeout <time>", "how long the handler may take; its own limit holds too", duration, 60_000)
    .option("--answer <status>", "the status that every HTTP request is answered with; default: 200", httpStatus)
    .option("--answer-body <body>", "what they are answered with, or @file; default: something that the built-in types can go on with, {} for others")
    .option("--reveal", "show the bodies and queries of requests, and values that look like secrets; never those of the configuration")
    .option("--json", "print one JSON document")
    .addHelpText(
      "before",
      "Examples:\n  npm run -s app:cli -- jobs:replay 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --dry-run\n  npm run -s app:cli -- jobs:replay 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --dry-run --answer 503\n  npm run -s app:cli -- jobs:replay 01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61 --dry-run --reveal --json\n",
    )
    .addHelpText(
      "after",
      [
        "",
        "The job is read, not claimed. What the handler writes by ctx.complete and ctx.checkpoint is rolled back; until then the rows are locked, and sequences move on.",
        "HTTP requests are recorded and get a made-up answer. Its own clients may read from the outbox's database. All other connections, processes, threads and datagrams are refused.",
        "Not caught: files that the handler writes by node:fs, and native add-ons with connections of their own. Names are looked up for real.",
        "Exit codes: 0 it would succeed, or be run again as it asks; 2 usage; 3 it would fail, or was not done in time, or nobody can tell; 5 no such job; 69 database unreachable; 78 there is no handler, or it does not load.",
      ].join("\n"),
    )
    .action(async (id: string, flags: ReplayFlags) => {
      const job = checkJobId(id);
      if (flags.dryRun !== true) {
        throw new OutboxError("USAGE", `Expected --dry-run: a replay is for show only. To see what the handler would do:\n  npm run -s app:cli -- jobs:replay ${job} --dry-run\nTo run the job for real:\n  npm run -s app:cli -- jobs:retry --id ${job}`);
      }
      context.exitWith(await dryRun(context, job, flags));
    });
}

async function dryRun(context: CommandContext, id: string, flags: ReplayFlags): Promise<number> {
  const { io, root } = context;
  const { timeout, answer, reveal = false, json = false } = flags;
  const body = await answerBody(flags.answerBody);
  const [{ prepareForTypeScript }, { sealProcess }, { openService }, { replay }, { linesOf }] = await Promise.all([
    import("../service/load-module.ts"),
    import("../service/replay/seal.ts"),
    import("../service/service.ts"),
    import("../service/replay/replay.ts"),
    import("../service/replay/sentences.ts"),
  ]);
  const stop = stopSignals((name) => void note(io, {}, `Stopping on ${name}.`));
  await prepareForTypeScript(root);
  // Before the app's own code is loaded, so that it is sealed in from its first line.
  const seal = await sealProcess();
  try {
    const loaded = await seal.as("loader", () => context.settings());
    const service = await seal.as("program", () => openService(loaded, root, () => undefined));
    try {
      const report = await replay(seal, service, id, { limitMs: timeout, answer: { ...(answer !== undefined && { status: answer }), ...(body !== null && { body }) }, reveal, signal: stop.signal });
      await seal.as("program", () => (json ? printValue(io, report, { json, ndjson: false }) : write(io.stdout, `${linesOf(report).join("\n")}\n`)));
      // Only a dead letter needs somebody who runs it again.
      const next = report.outcome === "done" && report.job.status === "error" ? ` To run it for real: npm run -s app:cli -- jobs:retry --id ${id}` : "";
      if (!json) await note(io, {}, `Dry run: nothing was sent, nothing was kept.${next}`);
      if (report.outcome === "stopped") return 130;
      return report.outcome === "done" || report.outcome === "snoozed" ? exitCodes.ok : exitCodes.jobsFailed;
    } finally {
      await seal.as("program", () => service.close());
    }
  } finally {
    await seal.lift();
    stop.release();
  }
}

function httpStatus(value: string): number {
  if (/^[2-5]\d\d$/.test(value)) return Number(value);
  throw new InvalidArgumentError(`Expected the status of an answer, 200 to 599, got ${JSON.stringify(value)}.`);
}

/** JSON, or the name of a file behind an @. */
async function answerBody(given: string | undefined): Promise<string | null> {
  if (given === undefined || !given.startsWith("@")) return given ?? null;
  try {
    return await readFile(given.slice(1), "utf8");
  } catch (cause) {
    throw new OutboxError("USAGE", `Expected a file that can be read behind the @ of --answer-body, got ${JSON.stringify(given.slice(1))}.`, { cause });
  }
}
