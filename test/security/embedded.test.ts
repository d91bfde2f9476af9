// The embedded Postgres is for the user who started it: what others on the machine and in the network find of it.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

// With TEST_DATABASE_URL the tests run on a server that is not ours to judge.
describe.skipIf(process.env.TEST_DATABASE_URL)("the embedded Postgres", () => {
  let admin: pg.Client;
  beforeAll(async () => {
    admin = new pg.Client({ connectionString: inject("adminUrl"), connectionTimeoutMillis: 10_000 });
    await admin.connect();
  });
  afterAll(() => admin.end());

  const setting = async (name: string) => (await admin.query<{ value: string }>("select current_setting($1) as value", [name])).rows[0]?.value;

  it("listens on 127.0.0.1 alone, and at no socket in a folder", async () => {
    expect([await setting("listen_addresses"), await setting("unix_socket_directories")]).toEqual(["127.0.0.1", ""]);
  });

  it("lets nobody in without the password, which is long and made by chance, and never asks for it in clear", async () => {
    const { rows } = await admin.query<{ auth_method: string }>("select distinct auth_method from pg_hba_file_rules");
    expect(rows.map((row) => row.auth_method)).toEqual(["scram-sha-256"]);
    const url = new URL(inject("adminUrl"));
    expect(url.password).toMatch(/^[\da-f]{48}$/);
    for (const password of ["", "postgres", "postcommit", url.password.slice(0, -1)]) {
      const stranger = new pg.Client({ host: url.hostname, port: Number(url.port), user: url.username, database: "postgres", password, connectionTimeoutMillis: 10_000 });
      await expect(stranger.connect()).rejects.toThrow(/password/i);
      await stranger.end();
    }
  });

  it("keeps its files from everybody else", async () => {
    expect(await setting("data_directory_mode")).toBe("0700");
    expect(await setting("log_file_mode")).toBe("0600");
  });
});
