// npm takes flags that stand before `--` for its own: `npm run app:cli jobs:drain --dry-run` would drain for real.
// They still arrive, as npm_config_*; here they are noticed, and the line that was meant is printed.

import { existsSync, readFileSync } from "node:fs";
import type { Command, Option } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { quoted } from "../outbox/shell.ts";
import type { npmFlags } from "../service/config.ts";

/** Throws a usage error when npm has kept a flag that `command` knows and `args` lack. */
export function refuseSwallowedFlags(command: Command, commandName: string, args: readonly string[], npm: ReturnType<typeof npmFlags>): void {
  if (npm.script === null) return;
  const given = new Set(args.map((arg) => arg.split("=")[0]));
  const swallowed = command.options.filter((option) => !given.has(option.long ?? "") && !given.has(option.short ?? "") && wasSwallowed(option, npm.config));
  if (swallowed.length === 0) return;

  // `--max-jobs 5` leaves its 5 behind as an argument too many.
  const operands = args.filter((arg) => !arg.startsWith("--"));
  const left = operands.splice(command.registeredArguments.length);
  const flags = swallowed.flatMap((option) => {
    const name = option.long ?? option.flags;
    if (!option.required && !option.optional) return [name];
    const value = npm.config[configName(option)];
    return [name, value === undefined || value === "true" ? (left.shift() ?? "VALUE") : value];
  });
  const line = ["npm", "run", npm.script, "--", ...commandName.split(" "), ...operands, ...left, ...args.filter((arg) => arg.startsWith("--")), ...flags];
  const names = swallowed.map((option) => option.long ?? option.flags).join(", ");
  throw new OutboxError("USAGE", `npm took ${names} for itself, and the command would have run without. Flags for the command stand after "--":\n  ${line.map(quoted).join(" ")}`);
}

function wasSwallowed(option: Option, config: Readonly<Record<string, string>>): boolean {
  if (option.long === "--no-color") return false; // heeded although npm took it: everywhere.ts
  const name = configName(option);
  const value = config[name];
  // npm has -n for --no-yes.
  if (option.short === "-n" && config.yes === "" && !isConfigured("yes", config)) return true;
  const isSet = option.negate ? value === "" || value === "false" : value !== undefined && !["", "false", "null", "undefined"].includes(value);
  // npm knows --tag and --key itself: from an .npmrc their values come with every command. Of a switch, such as --dry-run,
  // it is better to refuse one line too many than to miss one.
  return isSet && !(option.required && isConfigured(name.replaceAll("_", "-"), config));
}

/** `yes=false` in an .npmrc looks the same as -n on the line. */
function isConfigured(key: string, config: Readonly<Record<string, string>>): boolean {
  const files = [config.userconfig, config.globalconfig, ".npmrc"].filter((file) => file !== undefined && existsSync(file));
  return files.some((file) => new RegExp(`^\\s*${key}\\s*=`, "m").test(readFileSync(file as string, "utf8"))); // filtered above
}

function configName(option: Option): string {
  return (option.long ?? "").replace(/^--(no-)?/, "").replaceAll("-", "_");
}
