// Completion for zsh.

import type { CommandWords, Words } from "./words.ts";
import { byValues, patternOf, single } from "./words.ts";

export function zshCompletion({ commands, nouns }: Words): string {
  return `#compdef postcommit
# Completion of postcommit for zsh. To load it:  source <(postcommit completion zsh)   (after compinit)
# or, for all shells to come:  postcommit completion zsh > "\${fpath[1]}/_postcommit"
_postcommit() {
  local first second word previous=$words[CURRENT-1] waiting=0
  local -a flags operands values
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ $word == -* ]]; then continue
    elif [[ -z $first ]]; then first=$word
    elif [[ -z $second ]]; then second=$word
    fi
  done
  if [[ $words[CURRENT] == --*=* ]]; then
    previous=\${words[CURRENT]%%=*}
    compset -P '*='
  fi
  case "$first $second" in
    ' ') operands=(${commands.map(({ name, description }) => item(name.split(" ")[0] ?? name, description)).join(" ")}) ;;
${nouns.map(({ noun, verbs }) => `    ${single(`${noun} `)}) operands=(${verbs.map(single).join(" ")}) ;;`).join("\n")}
  esac
  case "$first $second" in
${commands.map(branch).join("\n")}
  esac
  if (( waiting )); then
    # A list, as in --status done,error: what stands before the last comma stays.
    compset -P '*,'
    (( $#values )) && compadd -- $values
  elif [[ $words[CURRENT] == -* ]]; then
    _describe -o flag flags
  else
    _describe command operands
  fi
}
if [[ $funcstack[1] == _postcommit ]]; then _postcommit "$@"; else compdef _postcommit postcommit; fi
`;
}

function branch({ name, flags, operands }: CommandWords): string {
  const items = flags.flatMap((flag) => flag.names.filter((each) => each.startsWith("--")).map((each) => item(each, flag.description)));
  const values = byValues(flags).map((group) => `        ${group.names.join("|")}) waiting=1 values=(${group.values.map(single).join(" ")}) ;;`);
  return [
    `    ${patternOf(name)})`,
    `      flags=(${items.join(" ")})`,
    `      operands=(${operands.map(single).join(" ")})`,
    ...(values.length === 0 ? [] : ["      case $previous in", ...values, "      esac"]),
    "      ;;",
  ].join("\n");
}

/** A word and what it means; a colon stands between the two. */
function item(word: string, description: string): string {
  return single(`${word.replaceAll(":", "\\:")}:${description}`);
}
