// Tab in the real shells, with the script that `completion` prints.
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli } from "../support/cli.ts";
import type { InTerminal } from "../support/pty.ts";
import { keys, start } from "../support/pty.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "completion-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What stands on the line when Tab was pressed behind `typed`. */
type Complete = (typed: string) => Promise<string>;

const lines = [
  ["a command", "jobs:pru", "jobs:prune"],
  ["a command by its noun and verb", "jobs pru", "jobs prune"],
  ["the operation of db outbox", "db outbox findU", "db outbox findUnique"],
  ["a flag", "jobs:drain --fail-o", "jobs:drain --fail-on"],
  ["a flag behind a noun and a verb", "migrate status --js", "migrate status --json"],
  ["the word that a flag takes", "jobs:drain --fail-on de", "jobs:drain --fail-on dead"],
  ["the word behind an equals sign", "jobs:drain --fail-on=de", "jobs:drain --fail-on=dead"],
  ["a status", "jobs:list --status proc", "jobs:list --status processing"],
  ["a second status behind a comma", "jobs:list --status done,proc", "jobs:list --status done,processing"],
  ["an argument", "completion fi", "completion fish"],
  ["what every command takes", "stats --no-col", "stats --no-color"],
  ["nothing that does not exist", "jobs:nothing", "jobs:nothing"],
] as const;

async function scriptOf(shell: string): Promise<string> {
  const { code, stdout, stderr } = await cli(["completion", shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const file = join(folder, `script.${shell}`);
  await writeFile(file, stdout);
  return file;
}

const isMissing = (shell: string) => spawnSync(shell, ["-c", "exit 0"]).status !== 0;
const name = (shell: string) => `${shell} ${isMissing(shell) ? "(not tested: it is not installed here) " : ""}completes`;

// The arguments keep the configuration of whoever runs the tests out.
describe.each([
  ["bash", ["--norc", "--noprofile", "-i"], (file: string) => `bind 'set bell-style none'; source ${file}`],
  ["zsh", ["-f", "-i"], (file: string) => `unsetopt beep; autoload -U compinit && compinit -D -u && source ${file}`],
] as const)("on a terminal,", (shell, args, load) => {
  describe.skipIf(shell !== "bash" && isMissing(shell))(name(shell), () => {
    let terminal: InTerminal;
    beforeAll(async () => {
      const file = await scriptOf(shell);
      terminal = start(args, { PS1: "ready> ", INPUTRC: "/dev/null", HOME: folder }, { program: shell, columns: 200, rows: 60 });
      await terminal.seen(/ready>$/); // zsh throws away what is typed before
      terminal.type(`${load(file)}; echo load""ed${keys.enter}`);
      await terminal.seen(/^loaded\nready>$/m);
    });
    afterAll(async () => {
      terminal.kill("SIGKILL");
      await terminal.ended;
    });
    const complete: Complete = async (typed) => {
      // Whatever Tab does, it has been done when the word behind it stands there.
      terminal.type(`postcommit ${typed}${keys.tab}#end`);
      const line = await terminal.seen(/postcommit [^\n]*#end$/);
      terminal.type(keys.ctrlC);
      await terminal.seen(/ready>$/);
      return line.slice("postcommit ".length, -"#end".length).trimEnd();
    };
    it.each(lines)("%s: %s", async (_, typed, completed) => expect(await complete(typed)).toBe(completed));
  });
});

describe.skipIf(isMissing("fish"))(name("fish"), () => {
  let file: string;
  beforeAll(async () => {
    file = await scriptOf("fish");
  });
  // Fish tells what Tab would offer. Typed at once after its prompt, as a test does, keys get lost.
  const complete: Complete = (typed) => {
    const { stdout } = spawnSync("fish", ["--no-config", "-c", `source ${file}; complete -C 'postcommit ${typed}'`], { encoding: "utf8", env: { ...process.env, HOME: folder } });
    const offered = stdout.split("\n").flatMap((line) => line.split("\t")[0] || []);
    return Promise.resolve(offered.length === 0 ? typed : `${typed.replace(/\S*$/, "")}${offered.join(" ")}`);
  };
  it.each(lines)("%s: %s", async (_, typed, completed) => expect(await complete(typed)).toBe(completed));
});

it("a shell that is not known is refused with those that are", async () => {
  const { code, stdout, stderr } = await cli(["completion", "tcsh"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain("Allowed choices are bash, zsh, fish");
});
