// How the tests run: against a real Postgres that test/support/global-setup.ts provides, two files at a time.
import { defineConfig } from "vitest/config";
import { closingLine } from "./test/support/closing-line.ts";

/** "postcommit" is the sources here, not a build that may be old or missing. */
const conditions = ["postcommit-source", "module", "node", "development|production"]; // and Vite's own

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["postcommit-source", "node"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    environment: "node",
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 60_000,
    reporters: ["default", closingLine()],
  },
});
