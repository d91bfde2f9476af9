// completion: a script for the shell, so that Tab completes commands, flags and the words that flags take.

import type { Command } from "commander";
import { Argument } from "commander";
import type { CommandContext } from "./context.ts";
import { write } from "./output.ts";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

export function completion(program: Command, context: CommandContext): void {
  program
    .command("completion")
    .description("print a script that completes postcommit in a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addHelpText("before", "Examples:\n  source <(postcommit completion bash)\n  postcommit completion zsh > \"${fpath[1]}/_postcommit\"\n  postcommit completion fish > ~/.config/fish/completions/postcommit.fish\n")
    .addHelpText("after", "\nIt completes the command `postcommit`, as `npm install --global` or `npx` puts it there; `npm run` completes scripts only.\nExit codes: 0 done, 2 usage.")
    .action(async (shell: Shell) => {
      const { wordsOf } = await import("./completion/words.ts");
      await write(context.io.stdout, (await scriptFor(shell))(wordsOf(program)));
    });
}

async function scriptFor(shell: Shell) {
  switch (shell) {
    case "bash":
      return (await import("./completion/bash.ts")).bashCompletion;
    case "zsh":
      return (await import("./completion/zsh.ts")).zshCompletion;
    case "fish":
      return (await import("./completion/fish.ts")).fishCompletion;
  }
}
