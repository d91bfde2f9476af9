// jobs:enqueue: a job that belongs to no business write, by hand. The payload is checked as every other is.

import type { Command } from "commander";
import type { EnqueueOptions } from "../outbox/enqueue.ts";
import { checkJob } from "../outbox/enqueue.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { JobDetails } from "../outbox/inspect-jobs.ts";
import type { Contract } from "../outbox/define.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { typeOf } from "../outbox/registry.ts";
import { redact } from "../service/redact.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { closest } from "./db-outbox/refuse.ts";
import { duration, instant, list, wholeNumber } from "./flags.ts";
import { note, printValue } from "./output.ts";
import { withService } from "./with-service.ts";

interface EnqueueFlags {
  readonly key?: string;
  readonly keyFor?: number | "until-done" | "forever";
  readonly orderingKey?: string;
  readonly owner?: string;
  readonly tag?: string[];
  readonly priority?: EnqueueOptions["priority"];
  readonly delay?: number;
  readonly runAt?: Date;
  readonly maxAttempts?: number;
  readonly wait?: true | number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly input: boolean;
}

const defaultWaitMs = 30_000;

export function jobsEnqueue(program: Command, context: CommandContext): void {
  program
    .command("jobs:enqueue")
    .description("enqueue a job by hand")
    .argument("<type>", "a type that has a handler here")
    .argument("[json]", 'the payload as JSON, "-" to read it from standard input, or "@file"; default: {}')
    .option("--key <key>", "the dedupe key: not stored while another job of the type holds it")
    .option("--key-for <time>", 'how long the key is held: a time, "until-done" or "forever"; default: 1h', keyFor)
    .option("--ordering-key <key>", "jobs of one ordering key run one at a time, in order")
    .option("--owner <user>", "on whose behalf")
    .option("--tag <tags>", "words to find it by, with commas between them", list)
    .option("--priority <priority>", "high, normal, low or a whole number; greater runs first", priority)
    .option("--delay <time>", "not before so much time has passed, for example 10m", duration)
    .option("--run-at <instant>", "not before this instant, for example 2026-12-01T08:00Z", instant)
    .option("--max-attempts <n>", "attempts before it is a dead letter; default: the type's", wholeNumber)
    .option("--wait [time]", "wait until it has ended, 30s unless told otherwise, and print its result", duration)
    .option("-n, --dry-run", "check the payload and the options, enqueue nothing")
    .option("--json", "print one JSON document")
    .option("--no-input", "do not wait for JSON on a terminal")
    .option("-q, --quiet", "leave the notices on stderr out")
    .addHelpText("before", "Examples:\n  npm run app:cli jobs:enqueue email.send '{\"to\":\"ada@example.com\",\"subject\":\"Hello\",\"body\":\"It works.\"}'\n  npm run -s app:cli -- jobs:enqueue audit.log @entry.json --key entry-1 --owner ada\n  npm run -s app:cli -- jobs:enqueue pdf.generate - --wait 1m < proposal.json\n")
    .addHelpText("after", "\nPrints the id of the job; of the one that holds the dedupe key when that was taken.\nExit codes: 0 enqueued, or there was one already, 1 --wait: it has not ended in time, 2 usage or a payload that does not fit, 3 --wait: it is a dead letter or was cancelled, 69 database unreachable, 78 configuration.")
    .action(async (type: string, json: string | undefined, flags: EnqueueFlags) => context.exitWith(await enqueue(context, type, json, flags)));
}

async function enqueue(context: CommandContext, type: string, json: string | undefined, flags: EnqueueFlags): Promise<number> {
  const { io } = context;
  const { readInput } = await import("./db-outbox/read-input.ts");
  const { parseJson } = await import("./db-outbox/parse-json.ts");
  const payload = parseJson(await readInput(json, io, !flags.input), io.columns);
  if (flags.keyFor !== undefined && flags.key === undefined) throw new OutboxError("USAGE", "Expected --key beside --key-for, got none.");
  return withService(context, async (service) => {
    const contract = await contractOf(service.handlers, type);
    const options = optionsOf(flags);
    if (flags.dryRun === true) {
      await checked(() => checkJob(contract.job(payload, options)));
      await note(io, flags, "Dry run, nothing was enqueued. The payload fits.");
      return exitCodes.ok;
    }
    const { id, deduplicated } = await checked(() => service.outbox.enqueueAlone(contract, payload, options));
    if (deduplicated) await note(io, flags, `Nothing was enqueued: job ${id} holds the dedupe key.`);
    if (flags.wait === undefined) {
      await printValue(io, flags.json === true ? { id, deduplicated } : id, { json: flags.json ?? false, ndjson: false });
      return exitCodes.ok;
    }
    const ended = await service.outbox.wait(id, { timeout: flags.wait === true ? defaultWaitMs : flags.wait });
    return await reportEnd(context, flags, ended, deduplicated);
  });
}

async function reportEnd({ io }: CommandContext, flags: EnqueueFlags, { id, status, result, lastError }: JobDetails, deduplicated: boolean): Promise<number> {
  const shown = redact(result);
  if (flags.json === true) await printValue(io, { id, deduplicated, status, result: shown, lastError }, { json: true, ndjson: false });
  else await printValue(io, status === "done" ? shown : id, { json: false, ndjson: false });
  if (status === "done") return exitCodes.ok;
  await note(io, {}, `Job ${id} ended as ${status}${lastError === null ? "" : `: ${visible(lastError)}`}. Next: npm run app:cli jobs:get ${id}`);
  return exitCodes.jobsFailed;
}

/** What does not fit is the person's to mend. */
async function checked<Value>(work: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof OutboxError && (error.code === "INVALID_PAYLOAD" || error.code === "PAYLOAD_TOO_LARGE")) throw new OutboxError("USAGE", error.message, { cause: error });
    throw error;
  }
}

async function contractOf(handlers: readonly HandlerEntry[], type: string): Promise<Contract> {
  const entry = handlers.find((each) => typeOf(each) === type);
  if (entry === undefined) {
    const known = handlers.map(typeOf);
    const guess = closest(type, known);
    throw new OutboxError("USAGE", `Expected a type that has a handler here, got "${visible(type)}".${guess === null ? "" : ` Did you mean "${guess}"?`} Known: ${known.join(", ")}.`);
  }
  return "load" in entry ? (entry.contract ?? (await entry.load()).contract) : entry.contract;
}

function optionsOf({ key, keyFor, orderingKey, owner, tag, priority: wanted, delay, runAt, maxAttempts }: EnqueueFlags): EnqueueOptions {
  return {
    ...(key !== undefined && { dedupeKey: key }),
    ...(keyFor !== undefined && { dedupeFor: keyFor }),
    ...(orderingKey !== undefined && { orderingKey }),
    ...(owner !== undefined && { owner }),
    ...(tag !== undefined && { tags: tag }),
    ...(wanted !== undefined && { priority: wanted }),
    ...(delay !== undefined && { delay }),
    ...(runAt !== undefined && { runAt }),
    ...(maxAttempts !== undefined && { maxAttempts }),
  };
}

function keyFor(value: string): number | "until-done" | "forever" {
  return value === "until-done" || value === "forever" ? value : duration(value);
}

/** A number, or a name; what is neither is refused by the enqueue itself. */
function priority(value: string): EnqueueOptions["priority"] {
  return /^-?\d+$/.test(value) ? Number(value) : (value as EnqueueOptions["priority"]);
}
