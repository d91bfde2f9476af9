// How the tests run: against a real Postgres that test/support/global-setup.ts provides, two files at a time.
import { defineConfig } from "vitest/config";
import { closingLine } from "./test/support/closing-line.ts";

/**
 * "postcommit" is the sources here, not a build that may be old or missing. Vite's own are here too, but for "module": that
 * is for bundlers, Vitest hands these on to Node, and what some packages have under that name (OpenTelemetry) Node cannot load.
 */
const conditions = ["postcommit-source", "node", "development|production"];

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
