// config:show: every setting with its value and where that comes from; and every flag that has a variable.

import type { Command } from "commander";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { note, printRows } from "./output.ts";
import { problemOf } from "./variables.ts";

interface ShownSetting {
  /** In outbox.config.ts, `smtp.url` is `smtp: { url }`. Of a flag: its command and the flag. */
  readonly name: string;
  readonly value: string;
  /** "environment", ".env", "outbox.config.ts" or "default". */
  readonly source: string;
  /** What sets it from outside; null: nothing does. */
  readonly variable: string | null;
  /** Where it stands in outbox.config.ts; null: it cannot stand there. */
  readonly key: string | null;
}

export function configShow(program: Command, context: CommandContext): void {
  program
    .command("config:show")
    .description("show every setting, its value, and where the value comes from; passwords and keys are left out")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli config:show\n  npm run -s app:cli -- config:show --json\n  LOG_LEVEL=debug npm run app:cli config:show\n")
    .addHelpText("after", "\nWhat goes before what: flags, the environment, .env, outbox.config.ts, the default.\nExit codes: 0 done, 78 a value will not do (all are shown all the same).")
    .action(async ({ json = false }: { json?: boolean }) => {
      const [{ readSettings }, { settingsTable }] = await Promise.all([import("../service/config.ts"), import("../service/settings-table.ts")]);
      const readings = Object.entries(await readSettings(context.root));
      const settings = readings.map(([name, { show, source }]): ShownSetting => {
        const { variable, inFile } = settingsTable[name as keyof typeof settingsTable]; // its own names
        return { name, value: show(), source, variable, key: inFile ? name : null };
      });
      const flags = await flagsWithVariables(program, settings);
      await printRows(context.io, [...settings, ...flags.map(({ setting }) => setting)].map((row) => ({ ...row })), { json, ndjson: false });
      const problems = [
        ...readings.flatMap(([name, { problem, source }]) => (problem === null ? [] : [`${name}, from ${source}: ${problem.message}`])),
        ...flags.flatMap(({ setting, problem }) => (problem === null ? [] : [`${setting.variable ?? ""}, from ${setting.source}: ${problem}`])),
      ];
      for (const problem of problems) await note(context.io, {}, visible(problem));
      if (problems.length > 0) context.exitWith(exitCodes.configuration);
    });
}

interface FlagWithVariable {
  readonly setting: ShownSetting;
  readonly problem: string | null;
}

/** What a command would go by that is called without the flag. A variable of two flags is shown once. */
async function flagsWithVariables(program: Command, settings: readonly ShownSetting[]): Promise<FlagWithVariable[]> {
  const { environmentVariable } = await import("../service/config.ts");
  const seen = new Set(settings.map(({ variable }) => variable));
  return program.commands.flatMap((command) =>
    command.options.flatMap((option): FlagWithVariable[] => {
      const { envVar: variable } = option;
      if (variable === undefined || seen.has(variable)) return [];
      seen.add(variable);
      const given = environmentVariable(variable);
      const value = given?.text ?? option.defaultValueDescription ?? shownDefault(option.defaultValue);
      const setting = { name: `${command.name()} ${option.long ?? option.flags}`, value, source: given?.source ?? "default", variable, key: null };
      return [{ setting, problem: given === null ? null : problemOf(option, given.text) }];
    }),
  );
}

function shownDefault(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
