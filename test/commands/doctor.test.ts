// doctor as people and monitoring call it: what it prints, and how it ends. What each check finds: test/service/doctor.
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import type { Finding } from "../../src/service/doctor/look.ts";
import { allChecks } from "../../src/service/doctor/checks.ts";
import { examine } from "../../src/service/doctor/doctor.ts";
import { pooler } from "../../src/service/doctor/pooler.ts";
import { cli, root as program } from "../support/cli.ts";
import type { TestOutbox } from "../support/outbox.ts";
import { testOutbox } from "../support/outbox.ts";
import { bouncer, hasPgBouncer } from "../support/pgbouncer.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let test: TestOutbox;
let root: string;
beforeAll(async () => {
  test = await testOutbox();
  root = await mkdtemp(join(tmpdir(), "doctor-"));
  await symlink(join(program, "prisma"), join(root, "prisma"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
  await test.close();
});
beforeEach(async () => {
  await test.empty();
  await test.pool.query("alter table outbox enable trigger outbox_ring");
  for (const name of ["npm_lifecycle_event", "NODE_ENV", "DATA_DIR"]) vi.stubEnv(name, undefined);
  vi.stubEnv("DATABASE_URL", test.url);
});
afterEach(() => vi.unstubAllEnvs());

async function doctor(args: readonly string[] = [], terminal: Terminal = {}): Promise<{ code: number; out: string; err: string }> {
  const io = memoryIo(terminal);
  const code = await run(["doctor", ...args], io, root);
  return { code, out: io.out(), err: io.err() };
}

describe("doctor", () => {
  it("ends with 0 when nothing is wrong, in one document", async () => {
    const { code, out, err } = await doctor(["--json"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const { healthy, findings } = JSON.parse(out) as { healthy: boolean; findings: Finding[] };
    expect(healthy).toBe(true);
    expect(findings.length).toBeGreaterThan(20);
    for (const finding of findings) expect(Object.keys(finding)).toEqual(["check", "severity", "evidence", "fix"]);
  });

  it("ends with 0 for a warning, and with 4 for a problem; the worst stands first, with its fix", async () => {
    await test.aJob({ type: "nobody\u001b[2J" });
    expect((await doctor()).code).toBe(0);
    await test.pool.query("alter table outbox disable trigger outbox_ring");
    const { code, out } = await doctor();
    expect(code).toBe(4);
    const [header, first, second] = out.split("\n").map((line) => line.split("\t"));
    expect(header).toEqual(["severity", "check", "evidence", "fix"]);
    expect(first).toEqual(["problem", "schema", "the trigger outbox_ring of outbox does not fire for everybody: it is disabled.", "alter table outbox enable trigger outbox_ring;"]);
    expect(second!.slice(0, 2)).toEqual(["warning", "types"]);
    expect(out).not.toContain("\u001b");
    const screen = (await doctor([], { tty: true })).out;
    expect(screen).toMatch(/^PROBLEM {2}schema: the trigger[^\n]*\n {11}alter table outbox enable trigger outbox_ring;\nWARNING {2}types: /);
    expect(screen).toMatch(/\n1 problem, 1 warning, \d notices?, \d+ ok\. Read a fix before you run it\.\n$/);
  });

  it("in a process of its own ends in a few seconds", async () => {
    const startedAt = performance.now();
    const { code, stdout } = await cli(["doctor", "--json"], { DATABASE_URL: test.url });
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { healthy: boolean }).healthy).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it("an unreachable database ends with 69, a wrong password with 78, an argument too many with 2", async () => {
    expect((await doctor(["extra"])).code).toBe(2);
    vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    expect(await doctor()).toMatchObject({ code: 69, out: "" });
    vi.stubEnv("DATABASE_URL", Object.assign(new URL(test.url), { password: "wrong" }).href);
    expect(await doctor()).toMatchObject({ code: 78, out: "" });
  });

  it("--grants prints SQL without asking any database", async () => {
    vi.stubEnv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    const { code, out } = await doctor(["--grants"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^begin;$/m);
    expect(out).toMatch(/^commit;$/m);
    expect(JSON.parse((await doctor(["--grants", "--json"])).out)).toEqual({ sql: out });
  });
});

it("every check stands in the how-to, in the order of the list", async () => {
  const text = await readFile(join(program, "docs/how-to/find-out-what-is-wrong.md"), "utf8");
  const table = text.split("| check | problem when")[1]!.split("\n\n")[0]!;
  const told = [...table.matchAll(/^\| ([a-z ]+?) \|/gm)].map(([, name]) => name);
  expect(told).toEqual(allChecks.map(({ name }) => name));
});

describe("the check of the pooler", () => {
  const seen = async (url: string) => (await examine({ url, migrations: join(program, "prisma/migrations"), root, handled: [], schedules: [] }, [pooler])).map(({ severity, fix }) => [severity, fix]);

  it("says so when DATABASE_URL speaks of PgBouncer and there is none", async () => {
    expect(await seen(test.url)).toEqual([["ok", null]]);
    expect(await seen(`${test.url}?pgbouncer=true`)).toEqual([["warning", "take pgbouncer=true out of DATABASE_URL"]]);
  });

  it.skipIf(!hasPgBouncer)("finds PgBouncer in transaction mode, whether DATABASE_URL speaks of it or not", async () => {
    const between = await bouncer(test.url, { dropsSettings: true });
    try {
      const { url } = between;
      expect(await seen(`${url}?pgbouncer=true`)).toEqual([["ok", null]]);
      expect(await seen(url)).toEqual([["problem", "add ?pgbouncer=true to DATABASE_URL"]]);
      vi.stubEnv("DATABASE_URL", `${url}?pgbouncer=true`);
      expect((await doctor()).code).toBe(0);
    } finally {
      await between.close();
    }
  });
});
