// Which command a line calls. `jobs drain` is `jobs:drain`, and so is every other noun with its verb.

import type { Command } from "commander";
import { closest } from "./db-outbox/refuse.ts";

export interface Called {
  readonly command: Command;
  /** As it is typed: "jobs:drain", "db outbox". */
  readonly name: string;
  /** How many of the words are its name, or stand before it. */
  readonly depth: number;
}

/**
 * The line with the noun and its verb as one word, also when there is no such verb, so that the right one is suggested:
 * `jobs drian` becomes `jobs:drian`. The noun alone stays what it is.
 */
export function joined(argv: readonly string[], program: Command): readonly string[] {
  const first = argv.findIndex((word) => !word.startsWith("-"));
  if (first === -1) return argv;
  const [noun = "", verb, ...rest] = argv.slice(first);
  if (noun === "help") return [...argv.slice(0, first), noun, ...joined(argv.slice(first + 1), program)];
  if (verb === undefined || verb.startsWith("-") || !hasVerbs(noun, program)) return argv;
  const own = program.commands.find((command) => command.name() === noun)?.commands.map((command) => command.name()) ?? [];
  // `db outbox`, also when it is mistyped, is no `db:outbox`.
  if (own.includes(closest(verb, verbsOf(noun, program)) ?? verb)) return argv;
  return [...argv.slice(0, first), `${noun}:${verb}`, ...rest];
}

/** What a noun can be followed by: `jobs` by drain, worker, list and so on; "" when it is no noun. */
export function verbsOf(noun: string, program: Command): string[] {
  const verbs = program.commands.flatMap((command) => (command.name().startsWith(`${noun}:`) ? [command.name().slice(noun.length + 1)] : []));
  const own = program.commands.find((command) => command.name() === noun);
  return [...(own?.commands ?? []).map((command) => command.name()), ...verbs];
}

const hasVerbs = (noun: string, program: Command): boolean => program.commands.some((command) => command.name().startsWith(`${noun}:`));

/** Which command a line calls, before it is parsed; null: none, or one that does not exist. */
export function findCommand(program: Command, args: readonly string[]): Called | null {
  let depth = args.findIndex((word) => !word.startsWith("-"));
  let command = program;
  const names: string[] = [];
  for (const word of depth === -1 ? [] : args.slice(depth)) {
    const next = command.commands.find((each) => each.name() === word);
    if (next === undefined) break;
    command = next;
    names.push(word);
    depth += 1;
  }
  return names.length === 0 ? null : { command, name: names.join(" "), depth };
}

/** Every command that can be called, with its name as it is typed. */
export function allCommands(program: Command, before = ""): { name: string; command: Command }[] {
  return program.commands.flatMap((command) => {
    const name = `${before}${command.name()}`;
    return command.commands.length === 0 ? [{ name, command }] : allCommands(command, `${name} `);
  });
}
