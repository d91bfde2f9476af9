// The habits of every command's help, of the pages made of it, and of what is suggested for a mistyped line.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { CommanderError } from "commander";
import type { Command } from "commander";
import { describe, expect, it, vi } from "vitest";
import { referencePages } from "../../scripts/reference/pages.ts";
import { createContext } from "../../src/commands/context.ts";
import { anchorOf } from "../../src/commands/help.ts";
import { createProgram, run } from "../../src/commands/index.ts";
import { addOthers } from "../../src/commands/others.ts";
import { allCommands, joined } from "../../src/commands/line.ts";
import { cli, root } from "../support/cli.ts";
import { memoryIo } from "./db-outbox/harness.ts";

for (const name of Object.keys(process.env)) if (/^(JOBS_|npm_|PORT$|SERVE_|NODE_ENV$)/.test(name)) vi.stubEnv(name, undefined);

const program = (): Command => createProgram(createContext(memoryIo(), root), addOthers);
const commands = allCommands(program());

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

function examplesOf(command: Command): string[] {
  const [, examples = ""] = /^Examples:\n((?: {2}.+\n)+)/.exec(helpOf(command)) ?? [];
  return examples.trimEnd().split("\n").map((line) => line.trim());
}

interface Example {
  /** The words behind the program's name. */
  readonly args: string[];
  readonly npm: boolean;
  /** Whether "--" stands before the words. */
  readonly separated: boolean;
}

/** Our part of a line for a shell: what stands around it (a pipe, a variable) is the shell's. */
function ourPart(line: string): Example {
  const [, start = "", rest = ""] = /((?:npm run (?:-s )?(?:app:cli|start:worker))|postcommit)(.*)$/s.exec(line) ?? [];
  if (start === "") throw new Error(`there is no command of ours in: ${line}`);
  const words: string[] = [];
  // A word of a POSIX shell, as far as examples go: plain or in single or double quotes.
  const pattern = /^\s+((?:'[^']*'|"[^"]*"|[^\s'"|;&<>()])+)/;
  for (let left = rest, match = pattern.exec(left); match !== null; left = left.slice(match[0].length), match = pattern.exec(left)) {
    words.push((match[1] ?? "").replaceAll(/'([^']*)'|"([^"]*)"/g, "$1$2"));
  }
  const npm = start.startsWith("npm");
  const separated = npm && words[0] === "--";
  const own = separated ? words.slice(1) : words;
  return { npm, separated, args: start.endsWith("start:worker") ? ["jobs:worker", ...own] : own };
}

/** Parses as the program would, runs nothing. Gives back the name of what would run. */
async function parsed(args: readonly string[]): Promise<string> {
  const tree = program();
  let called = "";
  for (const { name, command } of allCommands(tree)) {
    command.action(() => {
      called = name;
    });
  }
  try {
    await tree.parseAsync([...joined(args, tree)], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) throw new Error(`${args.join(" ")}: ${error.message}`, { cause: error });
    throw error;
  }
  return called;
}

describe.each(commands.map(({ name, command }) => ({ name, command })))("$name --help", ({ name, command }) => {
  it("begins with three examples, one of them of this command, and each of them would run", async () => {
    const examples = examplesOf(command).map((line) => ({ line, ...ourPart(line) }));
    expect(examples).toHaveLength(3);
    const called: string[] = [];
    for (const { line, args, npm, separated } of examples) {
      called.push(await parsed(args));
      if (npm && args.some((word) => word.startsWith("-") && word !== "-")) expect(separated, `npm would take the flags of: ${line}`).toBe(true);
    }
    expect(called).toContain(name);
    expect(called).not.toContain("");
  });

  it("says what every flag does, which exit codes there are, and where to read on", async () => {
    const help = helpOf(command);
    expect(command.description()).not.toBe("");
    for (const { flags, description } of command.options) expect(description, flags).not.toBe("");
    expect(help).toMatch(/\nExit codes: 0 /);
    expect(help).toContain(`\nReference: docs/reference/cli.md#${anchorOf(name)}\n`);
    expect(await readFile(`${root}/docs/reference/cli.md`, "utf8")).toContain(`\n## ${name}\n`);
  });

  it("knows -q, --no-input and --no-color, and uses no letter for two flags", () => {
    const longs = command.options.map(({ long }) => long);
    expect(longs).toEqual(expect.arrayContaining(["--quiet", "--no-input", "--no-color"]));
    const shorts = command.options.flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
    for (const { short, long } of command.options) {
      if (short === "-q") expect(long).toBe("--quiet");
      if (short === "-n") expect(long).toBe("--dry-run");
      if (long === "--dry-run") expect(short).toBe("-n");
    }
  });

  it("takes no variable for a flag that selects jobs, says yes or gives a reason", () => {
    const changes = ["--yes", "--confirm", "--reason", "--dry-run", "--all", "--id", "--reveal", "--json"];
    for (const { long, envVar } of command.options) if (changes.includes(long ?? "")) expect(envVar, long).toBeUndefined();
    const isRun = ["jobs:drain", "jobs:worker", "serve"].includes(name);
    if (!isRun) expect(command.options.flatMap(({ envVar }) => envVar ?? [])).toEqual([]);
  });
});

describe("docs/reference", () => {
  it("is what `npm run docs` makes of the commands and the settings", async () => {
    for (const [path, text] of await referencePages()) expect(await readFile(path, "utf8"), `${relative(root, path)} is stale: npm run docs`).toBe(text);
  });
});

describe("a mistyped line is answered with what was probably meant, exit 2:", () => {
  it.each([
    ["jobs:drian", "(Did you mean jobs:drain?)"],
    ["jobs drian", "(Did you mean jobs:drain?)"],
    ["migrate statsu", "(Did you mean migrate:status?)"],
    ["db outbx findMany", "(Did you mean outbox?)"],
    ["db strat", "(Did you mean db:start?)"],
    ["jobs:drain --bacth 5", "(Did you mean --batch?)"],
    ["jobs drain --bacth 5", "(Did you mean --batch?)"],
    ["help jobs drian", "jobs:drain"],
    ["jobs", 'Expected a verb after "jobs": drain, worker, '],
    ["db", 'Expected a verb after "db": outbox, start, '],
    ["--no-color jobs", 'Expected a verb after "jobs"'],
  ])("%s", async (line, sentence) => {
    const io = memoryIo();
    expect(await run(line.split(" "), io, root)).toBe(2);
    expect(io.err() + io.out()).toContain(sentence);
  });

  it("what it has typed is shown without what a terminal would obey", async () => {
    const io = memoryIo();
    expect(await run(["jobs:\u001b[2Jdrain"], io, root)).toBe(2);
    expect(io.err()).toContain("jobs:\\u001b[2Jdrain");
    expect(io.err()).not.toContain("\u001b");
  });
});

describe("noun and verb", () => {
  it("are the command, also behind `help` and behind a flag", async () => {
    for (const line of [["help", "jobs", "drain"], ["jobs", "drain", "--help"], ["-q", "jobs", "drain", "--help"]]) {
      const io = memoryIo();
      expect(await run(line, io, root)).toBe(0);
      expect(io.out()).toContain("Usage: postcommit jobs:drain");
    }
  });
});

it("the help of the program shows every command once", async () => {
  const { code, stdout } = await cli(["--help"]);
  expect(code).toBe(0);
  const { commands: shown } = program();
  for (const command of shown) expect(stdout.split("\n").filter((line) => line.startsWith(`  ${command.name()} `)), command.name()).toHaveLength(1);
});
