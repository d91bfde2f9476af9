// Runs once before the tests that run over an older Postgres: a server of the run's own, with a template database as in
// global-setup.ts.

import type { TestProject } from "vitest/node";
import { buildProgram, prepared, provide } from "./global-setup.ts";
import { olderPostgres, ownServer } from "./servers.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const older = olderPostgres();
  if (older === null) throw new Error("Expected the programs of an older Postgres below /usr/lib/postgresql, and there are none. Install postgresql-15, or leave this project out.");
  await buildProgram();
  project.provide("pooler", null);
  project.provide("programs", older.programs);
  return provide(project, await prepared(await ownServer(older.programs, { synchronous_commit: "off", full_page_writes: "off", max_connections: "200" })));
}
