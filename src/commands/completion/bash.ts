// Completion for bash, from 3.2 (macOS) on, without the package bash-completion.

import type { CommandWords, Words } from "./words.ts";
import { byValues, patternOf, single } from "./words.ts";

export function bashCompletion({ commands, nouns }: Words): string {
  return `# Completion of postcommit for bash. To load it:  source <(postcommit completion bash)
_postcommit() {
  # The words before the cursor. COMP_WORDS will not do: bash ends a word at each colon.
  local line=\${COMP_LINE:0:COMP_POINT} whole='' first='' second='' flags='' operands='' words='' prefix='' breaks='' cut='' word
  local -a typed=()
  read -ra typed <<<"$line"
  if [[ $line != *[[:space:]] ]]; then
    whole=\${typed[\${#typed[@]} - 1]}
    unset "typed[\${#typed[@]} - 1]"
  fi
  for word in "\${typed[@]:1}"; do
    if [[ $word == -* ]]; then continue
    elif [[ -z $first ]]; then first=$word
    elif [[ -z $second ]]; then second=$word
    fi
  done
  local current=$whole previous=\${typed[\${#typed[@]} - 1]}
  if [[ $current == --*=* ]]; then
    previous=\${current%%=*} prefix=\${current%%=*}= current=\${current#*=}
  fi
  case "$first $second" in
    ' ') operands=${single(commands.map(({ name }) => name.split(" ")[0]).join(" "))} ;;
${nouns.map(({ noun, verbs }) => `    ${single(`${noun} `)}) operands=${single(verbs.join(" "))} ;;`).join("\n")}
  esac
  case "$first $second" in
${commands.map(branch).join("\n")}
  esac
  if [[ $words == - ]]; then return
  elif [[ -n $words ]]; then
    # A list, as in --status done,error: what stands before the last comma stays.
    if [[ $current == *,* ]]; then prefix+=\${current%,*}, current=\${current##*,}; fi
  elif [[ $current == -* ]]; then words=$flags
  else words=$operands
  fi
  COMPREPLY=()
  for word in $words; do
    if [[ $word == "$current"* ]]; then COMPREPLY+=("$prefix$word"); fi
  done
  # Bash replaces only what stands behind the last colon or equals sign.
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
  [[ -n $breaks ]] && cut=\${whole%"\${whole##*[$breaks]}"}
  if [[ -n $cut && \${#COMPREPLY[@]} -gt 0 ]]; then COMPREPLY=("\${COMPREPLY[@]#"$cut"}"); fi
}
complete -F _postcommit postcommit
`;
}

/** Sets what the command knows, and `words` when a flag waits for its value: "-" where that can be anything. */
function branch({ name, flags, operands }: CommandWords): string {
  const names = flags.flatMap((flag) => flag.names.filter((each) => each.startsWith("--")));
  const values = byValues(flags).map((group) => `        ${group.names.join("|")}) words=${single(group.values.length === 0 ? "-" : group.values.join(" "))} ;;`);
  return [
    `    ${patternOf(name)})`,
    `      flags=${single(names.join(" "))} operands=${single(operands.join(" "))}`,
    ...(values.length === 0 ? [] : ['      case "$previous" in', ...values, "      esac"]),
    "      ;;",
  ].join("\n");
}
