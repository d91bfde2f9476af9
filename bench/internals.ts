// Everything of postcommit that the benchmark needs and that index.ts does not give out. Named here once, so that a change
// inside is mended in one place.

import { fileURLToPath } from "node:url";

export { embeddedStatus, openEmbedded, resetEmbedded } from "../src/service/embedded.ts";
export type { EmbeddedServer } from "../src/service/embedded.ts";
export { migrate } from "../src/service/migrate.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const migrationsDir = `${root}prisma/migrations`;
