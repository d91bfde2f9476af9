// Runs tests of a copy of the tree, and says what came of them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";

/** Far more than any of the runs takes; one that hangs is ended by force. */
const timeLimitMs = 20 * 60_000;

/** How the failure of a test begins that did not end in time. */
export const timedOut = "Error: Test timed out";

export interface Failure {
  readonly file: string;
  readonly test: string;
  /** The first line of what it said. */
  readonly message: string;
}

export interface Run {
  /** The tests that passed, as `idOf` names them. */
  readonly passed: ReadonlySet<string>;
  readonly failures: readonly Failure[];
  /** What went wrong outside of any test, such as a file that does not load; empty when nothing did. */
  readonly broken: string;
}

export interface Asked {
  /** Files of tests; all of them when left out. */
  readonly files?: readonly string[];
  /** Parts of the names of the tests to be run; all of them when left out. */
  readonly names?: readonly string[];
  /** Ends with the first failure. */
  readonly bail?: boolean;
}

/** As Vitest's JSON reporter writes it. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string; readonly failureMessages: readonly string[] }[];
  }[];
}

export async function runTests(folder: string, databaseUrl: string, { files = [], names = [], bail = false }: Asked): Promise<Run> {
  const reportPath = join(folder, "report-of-tests.json");
  await rm(reportPath, { force: true });
  const child = spawn(
    process.execPath,
    [
      "node_modules/vitest/vitest.mjs",
      "run",
      ...files,
      // It looks into the sources for the guards, so it would notice each mutant without knowing what it does.
      "--exclude=test/mutants.test.ts",
      "--reporter=json",
      `--outputFile=${reportPath}`,
      ...(bail ? ["--bail=1"] : []),
      ...(names.length === 0 ? [] : [`--testNamePattern=${names.map(escaped).join("|")}`]),
    ],
    { cwd: folder, env: { ...process.env, TEST_DATABASE_URL: databaseUrl, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"], timeout: timeLimitMs, killSignal: "SIGKILL" },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  await once(child, "close");
  const report = await readFile(reportPath, "utf8").then((text) => JSON.parse(text) as Report, () => null); // written by the reporter named above
  if (report === null) return { passed: new Set(), failures: [], broken: firstLine(output) };
  const tests = report.testResults.flatMap(({ name, assertionResults }) => assertionResults.map((test) => ({ ...test, file: name.slice(folder.length + 1) })));
  const failures = tests.filter(({ status }) => status === "failed").map(({ file, fullName, failureMessages }) => ({ file, test: fullName, message: messageOf(failureMessages) }));
  const unloaded = report.testResults.filter(({ message, assertionResults }) => message !== "" && assertionResults.every(({ status }) => status !== "failed"));
  return {
    passed: new Set(tests.filter(({ status }) => status === "passed").map(({ file, fullName }) => idOf({ file, test: fullName }))),
    failures,
    broken: unloaded.map(({ name, message }) => `${name.slice(folder.length + 1)}: ${firstLine(message)}`).join("; "),
  };
}

export function idOf({ file, test }: Pick<Failure, "file" | "test">): string {
  return `${file}, "${test}"`;
}

/** The reporter shows the stack, and that of a time-out was made before anything was wrong. */
function messageOf(messages: readonly string[]): string {
  return firstLine(messages.join("\n")).replace(/^Error: STACK_TRACE_ERROR$/, timedOut);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function firstLine(text: string): string {
  return stripVTControlCharacters(text).split("\n").map((line) => line.trim()).find((line) => line !== "") ?? "(nothing)";
}
