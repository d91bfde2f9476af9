// The command line. others.ts has a line for each command but jobs:drain. cli.ts calls main; tests call run.

import type { Command } from "commander";
import { CommanderError } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { loadEnvFile, npmFlags } from "../service/config.ts";
import { version } from "../service/version.ts";
import type { CommandContext } from "./context.ts";
import { createContext, exitCodes, explain, processIo } from "./context.ts";
import { addEverywhere, wantsNoColor } from "./everywhere.ts";
import { configureHelp, finishHelp, visibleLines } from "./help.ts";
import { jobsDrain } from "./jobs-drain.ts";
import { findCommand, joined, verbsOf } from "./line.ts";
import type { CommandIo } from "./output.ts";
import { write } from "./output.ts";
import { endWithReader } from "./readers.ts";
import { refuseSwallowedFlags } from "./swallowed-flags.ts";
import { checkVariables, CommandWithVariables } from "./variables.ts";

/** The tree of commands: jobs:drain, and what `addOthers` adds. */
export function createProgram(context: CommandContext, addOthers: ((program: Command, context: CommandContext) => void) | null): Command {
  const program = new CommandWithVariables("postcommit")
    .description("The transactional outbox for Prisma and Postgres.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for what there is)")
    .exitOverride();
  configureHelp(program, context);
  jobsDrain(program, context);
  addOthers?.(program, context);
  addEverywhere(program, context);
  finishHelp(program);
  program.addHelpText("before", "Examples:\n  npm run app:cli jobs:drain\n  npm run app:cli db outbox findMany '{\"where\":{\"status\":\"error\"},\"take\":5}'\n  npm run app:cli health:db\n");
  program.addHelpText("after", "\nUnder npm, flags stand after \"--\": npm run -s app:cli -- jobs:drain --json");
  return program;
}

/** Runs one command line and gives back the exit code. Errors become sentences on stderr. */
export async function run(argv: readonly string[], io: CommandIo, root: string): Promise<number> {
  const context = createContext(wantsNoColor(argv) ? { ...io, color: false } : io, root);
  // A crontab's line would pay for the others every minute.
  const others = argv[0] === "jobs:drain" ? null : await import("./others.ts");
  const program = createProgram(context, others?.addOthers ?? null);
  const args = joined(argv, program);
  try {
    loadEnvFile(root);
    if (args.length === 0) {
      program.outputHelp();
      return exitCodes.ok;
    }
    const called = findCommand(program, args);
    if (called === null || called.command.commands.length > 0) expectVerb(program, args);
    else {
      refuseSwallowedFlags(called.command, called.name, args.slice(called.depth), npmFlags());
      checkVariables(called.command);
    }
    await program.parseAsync([...args], { from: "user" });
    return context.exitCode();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage; // it has said why
    const { sentence, exitCode } = explain(error);
    await write(io.stderr, `${visibleLines(sentence)}\n`); // what was typed, or came from data, may stand in it
    return exitCode;
  }
}

/** A noun alone, such as `jobs`, is answered with its verbs. */
function expectVerb(program: Command, args: readonly string[]): void {
  const [noun = "", ...rest] = args.filter((word) => !word.startsWith("-"));
  const verbs = rest.length > 0 || args.includes("--help") || args.includes("-h") ? [] : verbsOf(noun, program);
  if (verbs.length > 0) throw new OutboxError("USAGE", `Expected a verb after "${noun}": ${verbs.join(", ")}. For example: npm run app:cli ${noun} ${verbs[0] ?? ""} --help`);
}

/** Runs the process's own command line and ends the process. */
export async function main(argv: readonly string[], root: string): Promise<never> {
  const io = processIo();
  endWithReader();
  const code = await run(argv, io, root);
  // Ended here, not when the last timer has run out: a handler that never settled may have left one.
  process.exit(code);
}
