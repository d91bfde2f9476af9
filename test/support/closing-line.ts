// A reporter whose one line is the last that a run prints: "123 passed, 0 failed". A file that could not be loaded and
// an error outside of any test count as failures, so that the line is never better than the run was.

import type { Reporter } from "vitest/node";

export function closingLine(): Reporter {
  const count = { passed: 0, failed: 0, skipped: 0 };
  return {
    onInit: () => {
      // The other reporters and the global teardown still print after the run's end, so the line waits for the process's.
      process.once("exit", (code) => {
        // For example the global setup failed, and no test was ever begun.
        const failed = count.failed === 0 && code !== 0 ? 1 : count.failed;
        const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
        process.stdout.write(`${count.passed} passed, ${failed} failed${skipped}\n`);
      });
    },
    onTestRunEnd: (files, unhandledErrors) => {
      count.passed = 0;
      count.skipped = 0;
      count.failed = unhandledErrors.length;
      for (const file of files) {
        let failedHere = 0;
        for (const test of file.children.allTests()) {
          const { state } = test.result();
          if (state === "passed") count.passed += 1;
          else if (state === "skipped") count.skipped += 1;
          else failedHere += 1;
        }
        // A file can fail with no test failed: it did not load, or a hook of it threw.
        count.failed += failedHere === 0 && file.state() === "failed" ? 1 : failedHere;
      }
    },
  };
}
