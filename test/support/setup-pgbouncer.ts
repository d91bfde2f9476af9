// Runs once before the tests that run behind PgBouncer: what global-setup.ts does, and PgBouncer before that server.

import type { TestProject } from "vitest/node";
import setupServer from "./global-setup.ts";
import { bouncer } from "./pgbouncer.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const closeServer = await setupServer(project);
  const between = await bouncer(project.getProvidedContext().adminUrl);
  project.provide("pooler", between.host);
  return async () => {
    await between.close();
    await closeServer();
  };
}
