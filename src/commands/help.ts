// The habits that all help has: commands in groups, bold titles on a terminal, and where to read on.

import { styleText } from "node:util";
import type { Argument, Command } from "commander";
import { shownDuration } from "../outbox/retention.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { duration } from "./flags.ts";
import { allCommands } from "./line.ts";

/** The headings of the list of commands, and which commands stand below each. The last one takes the rest. */
const groups: readonly [heading: string, names: RegExp][] = [
  ["Run:", /^jobs:(drain|worker)$|^serve$/],
  ["Jobs:", /^jobs:|^errors$|^db$/],
  ["Types, schedules, workers:", /^(types|schedules|workers)/],
  ["Health:", /^(health|doctor|stats)/],
  ["Set up:", /./],
];

/** Before the commands are added, which take this over from the program. */
export function configureHelp(program: Command, context: CommandContext): void {
  program
    .commandsGroup("Set up:")
    .helpCommand("help [command]", "show the help of a command")
    .configureHelp({
      styleTitle: (title) => styleText("bold", title, { validateStream: false }),
      // Every command has options: that it has is not worth a column.
      subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(shownArgument)].join(" "),
    })
    .configureOutput({
      writeOut: (text) => context.io.stdout.write(text),
      // What was typed may stand in it.
      writeErr: (text) => context.io.stderr.write(visibleLines(text)),
      getOutHelpWidth: () => context.io.columns,
      getErrHelpWidth: () => context.io.columns,
      getOutHasColors: () => context.io.color === true,
      getErrHasColors: () => false,
    });
}

/** After the commands are added. */
export function finishHelp(program: Command): void {
  for (const command of program.commands) command.helpGroup(groups.find(([, names]) => names.test(command.name()))?.[0] ?? "");
  for (const { name, command } of allCommands(program)) {
    command.addHelpText("after", `Reference: docs/reference/cli.md#${anchorOf(name)}`);
    for (const option of command.options) {
      // The default is in milliseconds; people write it with a unit.
      if (option.parseArg === duration && typeof option.defaultValue === "number") option.defaultValueDescription = shownDuration(option.defaultValue);
    }
  }
}

/** Text that keeps its lines and nothing else that a terminal would obey. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** As in the usage line: `<type>`, `[json]`, `[ids...]`. */
export function shownArgument(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

/** Where a heading is found on a page of Markdown: `jobs:drain` is #jobsdrain. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
}
