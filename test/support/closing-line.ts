// A reporter whose last line is the last that a run prints: "123 passed, 0 failed". Before it, a line for each test that
// failed, and for each that passed only when it was tried again, so that the end of a long log says what there is to look at.
// A file that could not be loaded and an error outside of any test count as failures: the line is never better than the run.

import type { Reporter, TestCase, TestModule } from "vitest/node";

const named = ({ project, relativeModuleId }: TestModule, test?: TestCase) => [project.name, relativeModuleId, ...(test === undefined ? [] : [test.fullName])].join(" > ");

export function closingLine(): Reporter {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const names: string[] = [];
  return {
    onInit: () => {
      // The other reporters and the global teardown still print after the run's end, so the lines wait for the process's.
      process.once("exit", (code) => {
        // For example the global setup failed, and no test was ever begun.
        const failed = count.failed === 0 && code !== 0 ? 1 : count.failed;
        const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
        process.stdout.write([...names, `${count.passed} passed, ${failed} failed${skipped}`, ""].join("\n"));
      });
    },
    onTestRunEnd: (files, unhandledErrors) => {
      count.passed = 0;
      count.skipped = 0;
      count.failed = unhandledErrors.length;
      names.splice(0, names.length, ...unhandledErrors.map((error) => `failed, outside of any test: ${error.message}`));
      for (const file of files) {
        let failedHere = 0;
        for (const test of file.children.allTests()) {
          const { state } = test.result();
          if (state === "passed") {
            count.passed += 1;
            if (test.diagnostic()?.flaky === true) names.push(`passed only when tried again: ${named(file, test)}`);
          } else if (state === "skipped") count.skipped += 1;
          else {
            failedHere += 1;
            names.push(`failed: ${named(file, test)}`);
          }
        }
        // A file can fail with no test failed: it did not load, or a hook of it threw.
        if (failedHere === 0 && file.state() === "failed") {
          failedHere = 1;
          names.push(`failed: ${named(file)}`);
        }
        count.failed += failedHere;
      }
    },
  };
}
