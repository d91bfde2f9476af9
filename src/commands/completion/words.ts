// What a shell can complete: the commands, the flags of each, and the words that a flag or an argument takes. From the
// tree of commands, for bash.ts, zsh.ts and fish.ts beside this file.

import type { Command, Option } from "commander";
import { statuses } from "../../outbox/job.ts";
import { finishedStatuses } from "../../outbox/retention.ts";
import { operations } from "../db-outbox/request.ts";
import { allCommands, verbsOf } from "../line.ts";

export interface CommandWords {
  /** As it is typed: "jobs:drain", "db outbox". */
  readonly name: string;
  readonly description: string;
  readonly flags: readonly FlagWords[];
  /** What its first argument may be; empty: anything. */
  readonly operands: readonly string[];
}

export interface FlagWords {
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** What its value may be; empty: anything. */
  readonly values: readonly string[];
}

export interface NounWords {
  readonly noun: string;
  readonly verbs: readonly string[];
}

export interface Words {
  readonly commands: readonly CommandWords[];
  /** `jobs` with drain, worker, list …: for who types a space in place of the colon. */
  readonly nouns: readonly NounWords[];
}

export function wordsOf(program: Command): Words {
  const commands = allCommands(program).map(({ name, command }) => ({
    name,
    description: summary(command.summary() || command.description()),
    flags: command.createHelp().visibleOptions(command).map((option) => flagOf(name, option)),
    operands: name === "db outbox" ? operations : (command.registeredArguments[0]?.argChoices ?? []),
  }));
  // `migrate status` is looked for before `migrate` with anything behind it.
  commands.sort((a, b) => Number(/[: ]/.test(b.name)) - Number(/[: ]/.test(a.name)));
  const nouns = [...new Set(commands.flatMap(({ name }) => /^(.+?)[: ]/.exec(name)?.[1] ?? []))];
  return { commands, nouns: nouns.map((noun) => ({ noun, verbs: verbsOf(noun, program) })) };
}

function flagOf(command: string, option: Option): FlagWords {
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: summary(option.description),
    takesValue: option.required || option.optional,
    values: option.argChoices ?? (option.long === "--status" ? (command === "jobs:prune" ? Object.keys(finishedStatuses) : statuses) : []),
  };
}

/** The first clause, in one line. */
function summary(text: string): string {
  return /^[^;\n]*/.exec(text)?.[0] ?? text;
}

/** Flags that take a value, together where the values are the same, which is mostly: anything. */
export function byValues(flags: readonly FlagWords[]): { names: string[]; values: readonly string[] }[] {
  const groups = new Map<string, { names: string[]; values: readonly string[] }>();
  for (const { names, takesValue, values } of flags) {
    if (!takesValue) continue;
    const key = values.join(" ");
    const group = groups.get(key) ?? { names: [], values };
    groups.set(key, group);
    group.names.push(...names);
  }
  return [...groups.values()];
}

/** The pattern of a command in a `case "$first $second"` of bash and zsh. */
export function patternOf(name: string): string {
  if (name.includes(" ")) return single(name);
  return name.includes(":") ? `${single(`${name} `)}*|${single(name.replace(":", " "))}` : `${single(`${name} `)}*`;
}

/** In quotes for bash and zsh. */
export function single(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
