// docs/reference/cli.md, from the same tree of commands that parses the line and prints the help.

import type { Command, Option } from "commander";
import { shownArgument } from "../../src/commands/help.ts";
import { allCommands } from "../../src/commands/line.ts";

const intro = `# The command line

<!-- Made by \`npm run docs\` from the commands themselves; a test fails when it is stale. -->

The program is called \`postcommit\`. In a clone, \`npm run app:cli\` runs it, and \`npm run -s app:cli -- …\` where flags
or a pipe follow: npm takes flags before \`--\` for itself. \`jobs drain\` is the same as \`jobs:drain\`, and so is every
other noun with its verb.

stdout is data, stderr is messages. A table on a terminal is TSV when it is piped; \`--json\` is exactly one document,
\`--ndjson\` one on each line. A change of jobs asks on a terminal and needs \`--yes\` off it.

What goes before what: flags, the environment, \`.env\`, \`outbox.config.ts\`, the default ([settings](settings.md)).

| exit code | meaning |
|---|---|
| 0 | done; also nothing to do, a budget reached, the lock held by another drain, a graceful stop |
| 1 | an unexpected error |
| 2 | usage: a flag, JSON, a selection, flags that npm took, no confirmation |
| 3 | the command worked, jobs ended badly (\`--fail-on\`) |
| 4 | a check failed |
| 5 | not found |
| 69 | the database cannot be reached |
| 75 | the lock is held, with \`--fail-if-locked\` |
| 78 | the configuration, or a migration, is missing or wrong |
| 130, 143 | ended by a second signal |
`;

export function cliPage(program: Command): string {
  const commands = allCommands(program);
  const everywhere = program.options.filter(({ helpGroupHeading }) => helpGroupHeading !== undefined);
  const groups = [...new Set(program.commands.map((command) => command.helpGroup()))];
  return [
    intro,
    "Every command takes these:\n",
    table(["flag", "meaning"], everywhere.map((option) => [code(option.flags), option.description])),
    ...groups.flatMap((group) => commands.filter(({ name }) => groupOf(program, name) === group).map(({ name, command }) => section(name, command))),
  ].join("\n");
}

/** `db outbox` stands where `db` does. */
function groupOf(program: Command, name: string): string | undefined {
  return program.commands.find((command) => command.name() === name.split(" ")[0])?.helpGroup();
}

function section(name: string, command: Command): string {
  const { before, after } = around(command);
  const flags = command.createHelp().visibleOptions(command).filter(({ helpGroupHeading, long }) => helpGroupHeading === undefined && long !== "--help");
  const usage = ["postcommit", name, "[options]", ...command.registeredArguments.map(shownArgument)].join(" ");
  return [
    `## ${name}\n`,
    `${sentence(command.description())}\n`,
    `\`\`\`sh\n${before.replace(/^Examples:\n/, "").replaceAll(/^ {2}/gm, "").trim()}\n\`\`\`\n`,
    `Usage: \`${usage}\`\n`,
    ...(command.registeredArguments.length === 0 ? [] : [table(["argument", "meaning"], command.registeredArguments.map((argument) => [code(shownArgument(argument)), withChoices(argument.description, argument.argChoices)]))]),
    ...(flags.length === 0 ? [] : [table(["flag", "default", "variable", "meaning"], flags.map((option) => [code(option.flags), defaultOf(option), option.envVar === undefined ? "" : code(option.envVar), withChoices(option.description, option.argChoices)]))]),
    ...after.map((line) => `${escaped(line)}\n`),
  ].join("\n");
}

/** The texts before and after what commander makes of the command. */
function around(command: Command): { before: string; after: string[] } {
  let all = "";
  command.configureOutput({ writeOut: (text) => (all += text), getOutHelpWidth: () => 10_000, getOutHasColors: () => false });
  command.outputHelp();
  const own = command.helpInformation();
  const at = all.indexOf(own);
  const after = all.slice(at + own.length).split("\n").filter((line) => line.trim() !== "" && !line.startsWith("Reference: "));
  return { before: all.slice(0, at), after };
}

function defaultOf({ defaultValue, defaultValueDescription, negate }: Option): string {
  if (negate || defaultValue === undefined) return "";
  return defaultValueDescription ?? code(String(defaultValue));
}

function withChoices(description: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? description : `${description}: ${choices.map(code).join(", ")}`;
}

/** A table of Markdown, with an empty line behind it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `|${cells.map((cell) => ` ${cell.replaceAll("|", "\\|")} `.replace(/^ +$/, " ")).join("|")}|`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map((cells) => line(cells.map(escaped)))].join("\n") + "\n";
}

const code = (text: string) => `\`${text}\``;

/** `<id>` outside of code would be taken for a tag. */
function escaped(text: string): string {
  return text.split("`").map((part, index) => (index % 2 === 0 ? part.replaceAll("<", "&lt;") : part)).join("`");
}

function sentence(text: string): string {
  const first = text.slice(0, 1).toUpperCase() + text.slice(1);
  return escaped(first.endsWith(".") ? first : `${first}.`);
}
