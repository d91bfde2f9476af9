// How the tests run: against a real Postgres that test/support/global-setup.ts provides, two files at a time. What is said of
// processes and of the engine's statements is said three times: straight to the newest Postgres, through PgBouncer, and to
// the oldest Postgres that is supported, where their programs are installed (.ci/run sees to that).
import { defineConfig } from "vitest/config";
import { closingLine } from "./test/support/closing-line.ts";
import { hasPgBouncer } from "./test/support/pgbouncer.ts";
import { olderPostgres } from "./test/support/servers.ts";

/**
 * "postcommit" is the sources here, not a build that may be old or missing. Vite's own are here too, but for "module": that
 * is for bundlers, Vitest hands these on to Node, and what some packages have under that name (OpenTelemetry) Node cannot load.
 */
const conditions = ["postcommit-source", "node", "development|production"];

/**
 * Thousands of tests wait for real servers, networks and processes, on machines that others use too. Where nobody is there to
 * look, one that fails is tried once more, and the run's last lines name it; by hand nothing is, so that a race is seen.
 */
const retry = process.env.CI === undefined ? 0 : 1;

const project = (name: string, include: readonly string[], globalSetup: string) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["postcommit-source", "node"] } },
  test: { name, include: [...include], globalSetup: [`test/support/${globalSetup}`], environment: "node" as const, pool: "forks" as const, testTimeout: 60_000, hookTimeout: 120_000, retry },
});

const everywhere = [
  "test/process/!(alerts|pgbouncer|trace|variants).test.ts",
  "test/http/process.test.ts",
  "test/service/migrate.test.ts",
  "test/clients/{pg,prisma-7}.test.ts",
  "test/outbox/{drain,lease}.test.ts",
];
const older = olderPostgres();
const others = [
  ...(hasPgBouncer ? [project("behind PgBouncer", everywhere, "setup-pgbouncer.ts")] : []),
  ...(older === null ? [] : [project(`on PostgreSQL ${older.major}`, everywhere, "setup-older-postgres.ts")]),
];
/** Whoever names files is at work on them: once, unless --project names the others too. */
const given = process.argv.slice(2);
const filesAreNamed = given.some((arg) => /^(\.\/)?test\//.test(arg)) && !given.some((arg) => arg.startsWith("--project"));

export default defineConfig({
  test: {
    projects: [project("postcommit", ["test/**/*.test.ts"], "global-setup.ts"), ...(filesAreNamed ? [] : others)],
    maxWorkers: 2,
    teardownTimeout: 60_000,
    reporters: ["default", closingLine()],
  },
});
