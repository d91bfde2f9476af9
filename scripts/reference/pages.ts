// The pages of docs/reference that are made, as they should be.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createContext } from "../../src/commands/context.ts";
import { createProgram } from "../../src/commands/index.ts";
import { addOthers } from "../../src/commands/others.ts";
import { cliPage } from "./cli.ts";
import { httpPage } from "./http.ts";
import { metricsPage } from "./metrics.ts";
import { settingsPage } from "./settings.ts";

const folder = join(dirname(dirname(import.meta.dirname)), "docs/reference");

/** Their texts by their paths. */
export async function referencePages(): Promise<Map<string, string>> {
  const { stdin, stdout, stderr } = process;
  const io = { stdin, stdout, stderr, stdinIsTty: false, stdoutIsTty: false, stderrIsTty: false, columns: 80, actor: "docs" };
  const program = () => createProgram(createContext(io, folder), addOthers); // cliPage turns the output of its own away
  const settings = join(folder, "settings.md");
  return new Map([
    [join(folder, "cli.md"), cliPage(program())],
    [join(folder, "http.md"), await httpPage()],
    [join(folder, "metrics.md"), metricsPage()],
    [settings, settingsPage(await readFile(settings, "utf8"), program())],
  ]);
}
