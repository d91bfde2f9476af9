// The environment variables of flags. Who runs the drain from cron or the worker in a container sets them once; a change
// of jobs has none, because nothing outside the line may select jobs or say yes. Settings that are no flags: service/settings-table.ts.

import type { Option } from "commander";
import { Command, InvalidArgumentError } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { dropVariable, environmentVariable } from "../service/config.ts";

/** Commands whose flags with a value all have one, JOBS_ and the flag's name: `--max-time` is JOBS_MAX_TIME. */
const running = ["jobs:drain", "jobs:worker"];
/** Of their flags without a value, these. A dry run, or the form of what is printed, is for the one who asks for it. */
const switches = ["--exclusive", "--summary"];
/** The port as every platform calls it. Not HOST: some shells and tools set that to the name of the machine. */
const serving: Readonly<Record<string, string>> = { "--port": "PORT", "--host": "SERVE_HOST" };

/**
 * A program or command whose flags get their variables, which commander reads and shows in the help. A class, because
 * commander looks for an option's variable in the moment in which the option is added.
 */
export class CommandWithVariables extends Command {
  override createCommand(name?: string): Command {
    return new CommandWithVariables(name);
  }

  override addOption(option: Option): this {
    const variable = variableOf(this.name(), option);
    return super.addOption(variable === null ? option : option.env(variable));
  }
}

function variableOf(command: string, option: Option): string | null {
  const long = option.long ?? "";
  if (command === "serve") return serving[long] ?? null;
  if (!running.includes(command) || !(option.required || switches.includes(long))) return null;
  return `JOBS_${long.slice(2).replaceAll("-", "_").toUpperCase()}`;
}

/** Commander takes an empty variable for a value, and any value of a switch for "on". Here empty is none, and a switch is true or false. */
export function checkVariables(command: Command): void {
  for (const option of command.options) {
    if (option.envVar === undefined) continue;
    const text = environmentVariable(option.envVar)?.text ?? "";
    const problem = text === "" || !option.isBoolean() ? null : problemOf(option, text);
    if (problem !== null) throw new OutboxError("USAGE", `${option.envVar}: ${problem}`);
    if (text === "" || (option.isBoolean() && text === "false")) dropVariable(option.envVar);
  }
}

/** Why the text of its variable is no value of the flag; null when it is one. */
export function problemOf(option: Option, text: string): string | null {
  if (option.isBoolean()) return text === "true" || text === "false" ? null : `Expected true or false, got ${JSON.stringify(text)}.`;
  try {
    option.parseArg?.(text, undefined as never); // no value before it, as after the default
    return null;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error.message;
    throw error;
  }
}
