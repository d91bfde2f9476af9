// Completion for fish.

import type { CommandWords, Words } from "./words.ts";

export function fishCompletion({ commands, nouns }: Words): string {
  const starts = new Map(commands.map(({ name, description }) => [name.split(" ")[0] ?? name, description]));
  return `# Completion of postcommit for fish. To load it:  postcommit completion fish | source
# or, for all shells to come:  postcommit completion fish > ~/.config/fish/completions/postcommit.fish
function __postcommit_words
    # The words before the cursor that are no flags, without postcommit itself.
    string match --invert -- '-*' (commandline -opc)[2..]
end
function __postcommit_at --argument-names name
    set -l words (__postcommit_words)
    test (count $words) -ge 1; or return 1
    test "$words[1]" = "$name"; and return 0
    test (count $words) -ge 2; or return 1
    test "$words[1]:$words[2]" = "$name" -o "$words[1] $words[2]" = "$name"
end
function __postcommit_only --argument-names noun
    test (string join ' ' -- (__postcommit_words)) = "$noun"
end
function __postcommit_values
    # A list, as in --status done,error: what stands before the last comma stays.
    set -l typed (string replace --regex '^--[^=]*=' '' -- (commandline -ct))
    printf '%s\\n' (string replace --regex '[^,]*$' '' -- "$typed")$argv
end
complete -c postcommit -f
${[...starts].map(([name, description]) => `complete -c postcommit -n "test (count (__postcommit_words)) -eq 0" -a ${quoted(name)} -d ${quoted(description)}`).join("\n")}
${nouns.map(({ noun, verbs }) => `complete -c postcommit -n "__postcommit_only ${noun}" -a ${quoted(verbs.join(" "))}`).join("\n")}
${commands.flatMap(linesOf).join("\n")}
`;
}

function linesOf({ name, flags, operands }: CommandWords): string[] {
  const at = `complete -c postcommit -n ${quoted(`__postcommit_at ${quoted(name)}`)}`;
  return [
    ...(operands.length === 0 ? [] : [`${at} -a ${quoted(operands.join(" "))}`]),
    ...flags.map(({ names, takesValue, values, description }) => {
      const named = names.map((each) => (each.startsWith("--") ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`)).join(" ");
      return `${at} ${named}${takesValue ? " -x" : ""}${values.length === 0 ? "" : ` -a ${quoted(`(__postcommit_values ${values.join(" ")})`)}`} -d ${quoted(description)}`;
    }),
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
