// The tables of docs/reference/settings.md: the settings by settings-table.ts, the variables by the flags that have one.

import type { Command } from "commander";
import { allCommands } from "../../src/commands/line.ts";
import { settingsTable } from "../../src/service/settings-table.ts";
import { table } from "./cli.ts";

/** The page with its tables made anew; what stands around them is written by hand. */
export function settingsPage(page: string, program: Command): string {
  return between(between(page, "settings", settingsRows()), "variables", variableRows(program));
}

function settingsRows(): string {
  const rows = Object.entries(settingsTable).map(([name, { variable, inFile, fallback, meaning }]) => [variable === null ? "" : code(variable), inFile ? code(name) : "", fallback, meaning]);
  return table(["variable", "in outbox.config.ts", "default", "meaning"], [...rows.filter(([variable]) => variable !== ""), ...rows.filter(([variable]) => variable === "")]);
}

function variableRows(program: Command): string {
  const uses = allCommands(program).flatMap(({ name, command }) => command.options.flatMap((option) => (option.envVar === undefined ? [] : [{ variable: option.envVar, use: `${name} ${option.long ?? option.flags}` }])));
  const variables = [...new Set(uses.map(({ variable }) => variable))];
  return table(["variable", "the flag that it stands for"], variables.map((variable) => [code(variable), uses.filter((each) => each.variable === variable).map(({ use }) => code(use)).join(", ")]));
}

function between(page: string, name: string, text: string): string {
  const [open, close] = [`<!-- ${name}: made by npm run docs -->\n`, `<!-- end of ${name} -->`];
  const start = page.indexOf(open);
  const end = page.indexOf(close);
  if (start === -1 || end < start) throw new Error(`Expected the page to have the lines "${open.trim()}" and "${close}", one above the other.`);
  return `${page.slice(0, start + open.length)}\n${text}\n${page.slice(end)}`;
}

const code = (text: string) => `\`${text}\``;
