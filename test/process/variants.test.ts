// What this run was made over. Where a program is missing its tests are skipped, and this says so; where .ci/run has
// installed it, they must have been there.

import { describe, expect, it } from "vitest";
import { hasPgBouncer } from "../support/pgbouncer.ts";
import { olderPostgres } from "../support/servers.ts";

const older = olderPostgres();
const mustBeHere = process.env.CI_INSTALLED === "1";

describe("the tests of processes and of the engine's statements run", () => {
  it.skipIf(!hasPgBouncer && !mustBeHere)(hasPgBouncer ? "behind PgBouncer too" : "behind PgBouncer too (skipped: apt-get install pgbouncer)", () => {
    expect(hasPgBouncer).toBe(true);
  });

  it.skipIf(older === null && !mustBeHere)(older === null ? "over an older Postgres too (skipped: apt-get install postgresql-15, or whichever there is from 15 to 17)" : `over PostgreSQL ${older.major} too`, () => {
    expect(older).not.toBeNull();
  });
});
