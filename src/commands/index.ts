// The command line: one line for each command. cli.ts calls main; tests call run.

import { Command, CommanderError } from "commander";
import { npmFlags } from "../service/config.ts";
import { version } from "../service/version.ts";
import type { CommandContext } from "./context.ts";
import { createContext, exitCodes, explain, processIo } from "./context.ts";
import { dbOutboxCommand } from "./db-outbox-command.ts";
import { embeddedCommands } from "./db-embedded.ts";
import { healthApi } from "./health-api.ts";
import { healthDb } from "./health-db.ts";
import { jobsDrain } from "./jobs-drain.ts";
import { jobsPrune } from "./jobs-prune.ts";
import { jobsWorker } from "./jobs-worker.ts";
import { migrateCommands } from "./migrate.ts";
import type { CommandIo } from "./output.ts";
import { write } from "./output.ts";
import { scheduleCommands } from "./schedules.ts";
import { serve } from "./serve.ts";
import { refuseSwallowedFlags } from "./swallowed-flags.ts";
import { typeCommands } from "./types.ts";

function createProgram(context: CommandContext): Command {
  const program = new Command("postcommit")
    .description("The transactional outbox for Prisma and Postgres.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for what there is)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.io.stdout.write(text),
      writeErr: (text) => context.io.stderr.write(text),
    });
  jobsDrain(program, context);
  jobsWorker(program, context);
  jobsPrune(program, context);
  scheduleCommands(program, context);
  typeCommands(program, context);
  dbOutboxCommand(program, context);
  embeddedCommands(program, context);
  migrateCommands(program, context);
  healthDb(program, context);
  healthApi(program, context);
  serve(program, context);
  program.addHelpText("before", "Examples:\n  npm run app:cli jobs:drain\n  npm run app:cli db outbox findMany '{\"where\":{\"status\":\"error\"},\"take\":5}'\n  npm run app:cli health:db\n");
  program.addHelpText("after", "\nUnder npm, flags stand after \"--\": npm run -s app:cli -- jobs:drain --json");
  return program;
}

/** Runs one command line and gives back the exit code. Errors become sentences on stderr. */
export async function run(argv: readonly string[], io: CommandIo, root: string): Promise<number> {
  const context = createContext(io, root);
  const program = createProgram(context);
  const args = joined(argv, program);
  try {
    if (args.length === 0) {
      program.outputHelp();
      return exitCodes.ok;
    }
    const called = findCommand(program, args);
    if (called !== null) refuseSwallowedFlags(called.command, called.name, args.slice(called.depth), npmFlags());
    await program.parseAsync([...args], { from: "user" });
    return context.exitCode();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage; // it has said why
    const { sentence, exitCode } = explain(error);
    await write(io.stderr, `${sentence}\n`);
    return exitCode;
  }
}

/** `jobs drain` is `jobs:drain`. */
function joined(argv: readonly string[], program: Command): readonly string[] {
  const [noun = "", verb = "", ...rest] = argv;
  return program.commands.some((command) => command.name() === `${noun}:${verb}`) ? [`${noun}:${verb}`, ...rest] : argv;
}

/** Which command a line calls, before it is parsed: npm's leavings would be refused as arguments too many, with a worse sentence. */
function findCommand(program: Command, args: readonly string[]): { command: Command; name: string; depth: number } | null {
  let command = program;
  let depth = 0;
  for (const arg of args) {
    const next = command.commands.find((each) => each.name() === arg);
    if (next === undefined) break;
    command = next;
    depth += 1;
  }
  return depth === 0 ? null : { command, name: args.slice(0, depth).join(" "), depth };
}

/** Runs the process's own command line and ends the process. */
export async function main(argv: readonly string[], root: string): Promise<never> {
  const io = processIo();
  // The reader of our output may leave early (`| head`): that is no error of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? exitCodes.ok : exitCodes.unexpected));
  const code = await run(argv, io, root);
  // Ended here, not when the last timer has run out: a handler that never settled may have left one.
  process.exit(code);
}
