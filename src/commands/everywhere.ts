// What every command understands beside its own flags: -q, --no-input and --no-color.

import type { Command } from "commander";
import { Option } from "commander";
import { npmFlags } from "../service/config.ts";
import type { CommandContext } from "./context.ts";
import { allCommands } from "./line.ts";

const group = "Everywhere:";

interface Flags {
  readonly quiet?: boolean;
  readonly input?: boolean;
}

/** Adds them to every command that has not its own, and to the program, for who writes them before the command. */
export function addEverywhere(program: Command, context: CommandContext): void {
  for (const command of [program, ...allCommands(program).map((each) => each.command)]) {
    add(command, new Option("-q, --quiet", "leave the notices on stderr out"));
    add(command, new Option("--no-input", "never ask"));
    add(command, new Option("--no-color", "no colours (also NO_COLOR)"));
    command.addHelpOption(new Option("-h, --help", "show this help").helpGroup(group));
  }
  program.hook("preAction", (_, command) => {
    const before = program.opts<Flags>();
    if (before.quiet === true) command.setOptionValue("quiet", true);
    if (before.input === false) command.setOptionValue("input", false);
    const { quiet = false, input = true } = command.opts<Flags>();
    context.adapt({ ...(quiet && { quiet }), ...(!input && !hasOwnNoInput(command) && { stdinIsTty: false }) });
  });
}

/** Whether the line wants no colours. The help is printed while the line is parsed, so this is known before. */
export function wantsNoColor(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  // What stands before the "--" of npm, npm takes for itself, and says so in this way.
  return args.slice(0, end === -1 ? undefined : end).includes("--no-color") || npmFlags().config.color === "";
}

function add(command: Command, option: Option): void {
  if (command.options.some(({ long }) => long === option.long)) return;
  const isTaken = command.options.some(({ short }) => short !== undefined && short === option.short);
  command.addOption((isTaken ? new Option(option.long ?? option.flags, option.description) : option).helpGroup(group));
}

/** A command with a --no-input of its own looks at it by itself; to others, a terminal that may not be asked is none. */
function hasOwnNoInput(command: Command): boolean {
  return command.options.some(({ long, helpGroupHeading }) => long === "--no-input" && helpGroupHeading !== group);
}
