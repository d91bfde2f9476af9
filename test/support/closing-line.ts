// A reporter whose last line is the last that a run prints: "123 passed, 0 failed". Before it, a line for each test that
// failed, and for each that passed only when it was tried again, so that the end of a long log says what there is to look at.
// A file that could not be loaded and an error outside of any test count as failures: the line is never better than the run.

import type { Reporter, TestCase, TestModule } from "vitest/node";

const named = ({ project, relativeModuleId }: TestModule, test?: TestCase) => [project.name, relativeModuleId, ...(test === undefined ? [] : [test.fullName])].join(" > ");

export function closingLine(): Reporter {
  const count = { passed: 0, skipped: 0 };
  const failed: string[] = [];
  const triedAgain: string[] = [];
  return {
    onInit: () => {
      // The other reporters and the global teardown still print after the run's end, so the lines wait for the process's.
      process.once("exit", (code) => {
        if (failed.length === 0 && code !== 0) failed.push("before or after the tests"); // for example the global setup
        const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
        const lines = [...triedAgain.map((name) => `passed only when tried again: ${name}`), ...failed.map((name) => `failed: ${name}`)];
        process.stdout.write([...lines, `${count.passed} passed, ${failed.length} failed${skipped}`, ""].join("\n"));
      });
    },
    onTestRunEnd: (files, unhandledErrors) => {
      count.passed = 0;
      count.skipped = 0;
      triedAgain.length = 0;
      failed.splice(0, failed.length, ...unhandledErrors.map(({ message }) => `outside of any test: ${message}`));
      for (const file of files) {
        const before = failed.length;
        for (const test of file.children.allTests()) {
          const { state } = test.result();
          if (state === "skipped") count.skipped += 1;
          else if (state !== "passed") failed.push(named(file, test));
          else {
            count.passed += 1;
            if (test.diagnostic()?.flaky === true) triedAgain.push(named(file, test));
          }
        }
        // A file can fail with no test failed: it did not load, or a hook of it threw.
        if (failed.length === before && file.state() === "failed") failed.push(named(file));
      }
    },
  };
}
