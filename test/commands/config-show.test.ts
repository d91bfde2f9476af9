// config:show: each value with its source, and nothing that must stay secret.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/commands/index.ts";
import { settingsTable } from "../../src/service/settings-table.ts";
import type { Terminal } from "./db-outbox/harness.ts";
import { memoryIo } from "./db-outbox/harness.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "config-show-"));
  for (const name of Object.keys(process.env)) if (/^(npm_|JOBS_|PORT$|SERVE_)/.test(name)) vi.stubEnv(name, undefined);
  for (const { variable } of Object.values(settingsTable)) if (variable !== null) vi.stubEnv(variable, undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

interface Row {
  readonly name: string;
  readonly value: string;
  readonly source: string;
  readonly variable: string | null;
  readonly key: string | null;
}

async function show(args: readonly string[] = ["--json"], terminal: Terminal = {}) {
  const io = memoryIo(terminal);
  const code = await run(["config:show", ...args], io, root);
  const row = (name: string) => (JSON.parse(io.out()) as Row[]).find((each) => each.name === name);
  return { code, out: io.out(), err: io.err(), row };
}

const file = (name: string, text: string) => writeFile(join(root, name), text);

describe("config:show", () => {
  it("says of each value whether it is from the environment, .env, outbox.config.ts or the default, and what would set it", async () => {
    await file("outbox.config.ts", `export default { connection: "postgresql://127.0.0.1/config", smtp: { from: "config@example.com" }, dataDir: "files", retention: { done: false } };`);
    await file(".env", "DATABASE_URL=postgresql://127.0.0.1/dotenv\nMAIL_FROM=dotenv@example.com\nJOBS_BATCH=5\n");
    vi.stubEnv("MAIL_FROM", "environment@example.com");
    const { code, row, err } = await show();
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(row("connection")).toEqual({ name: "connection", value: "postgresql://127.0.0.1/dotenv", source: ".env", variable: "DATABASE_URL", key: "connection" });
    expect(row("smtp.from")).toMatchObject({ value: "environment@example.com", source: "environment" });
    expect(row("dataDir")).toMatchObject({ value: "files", source: "outbox.config.ts", variable: "DATA_DIR" });
    expect(row("retention")).toEqual({ name: "retention", value: "done for ever, cancelled 7d, dead 30d", source: "outbox.config.ts", variable: null, key: "retention" });
    expect(row("logLevel")).toEqual({ name: "logLevel", value: "info", source: "default", variable: "LOG_LEVEL", key: null });
    expect(row("jobs:drain --batch")).toEqual({ name: "jobs:drain --batch", value: "5", source: ".env", variable: "JOBS_BATCH", key: null });
    expect(row("jobs:drain --drain-timeout")).toMatchObject({ value: "30s", source: "default" });
  });

  it("an empty variable counts as not set, wherever it stands", async () => {
    await file("outbox.config.ts", `export default { dataDir: "files" };`);
    vi.stubEnv("DATA_DIR", "");
    vi.stubEnv("JOBS_BATCH", "");
    const { row } = await show();
    expect(row("dataDir")).toMatchObject({ value: "files", source: "outbox.config.ts" });
    expect(row("jobs:drain --batch")).toMatchObject({ value: "20", source: "default" });
  });

  it("shows no password, no key and no user of a URL, from wherever they come; host and database it shows", async () => {
    const secret = "c4n4ry";
    await file(
      "outbox.config.ts",
      `export default {
        webhookSecret: "whsec_${secret}", payments: { key: "sk_${secret}", url: "https://me:${secret}@pay.example.com/v1?token=${secret}" },
        channels: { ops: { kind: "slack", url: "https://hooks.example.com/${secret}" } },
        endpoints: { crm: { kind: "http", url: "https://crm.example.com", headers: { Authorization: "Bearer ${secret}" } } },
        webhooks: { shop: { url: "https://shop.example.com", secrets: ["whsec_${secret}"] } },
      };`,
    );
    vi.stubEnv("DATABASE_URL", `postgresql://${secret}:${secret}@db.example.com:5433/shop?pgbouncer=true&password=${secret}`);
    vi.stubEnv("SMTP_URL", `smtp://${secret}:${secret}@mail.example.com:587`);
    vi.stubEnv("API_URL", `https://me:${secret}@jobs.example.com`);
    vi.stubEnv("JOBS_HEARTBEAT_URL", `https://hc.example.com/${secret}`);
    const { code, out, err, row } = await show();
    expect(code).toBe(0);
    expect(out + err).not.toContain(secret);
    expect(row("connection")?.value).toBe("postgresql://***@db.example.com:5433/shop?pgbouncer=true");
    expect(row("smtp.url")?.value).toBe("smtp://***@mail.example.com:587");
    expect(row("payments.url")?.value).toBe("https://***@pay.example.com/v1");
    expect(row("payments.key")).toMatchObject({ value: "***", source: "outbox.config.ts" });
    expect(row("webhookSecret")?.value).toBe("***");
    expect([row("channels"), row("endpoints"), row("webhooks")].map((each) => each?.value)).toEqual(["ops", "crm", "shop"]);
  });

  it("shows everything although a value will not do, says which and from where, and exits 78", async () => {
    await file(".env", "LOG_LEVEL=loud\nDATABASE_URL=mysql://me:s3cret@x/y\nJOBS_BATCH=ten\nJOBS_SUMMARY=perhaps\n");
    await file("outbox.config.ts", `export default { retention: { dead: "soon" } };`);
    const { code, row, out, err } = await show();
    expect(code).toBe(78);
    expect(row("dataDir")).toMatchObject({ value: "var" });
    expect(err).toContain("logLevel, from .env: Expected LOG_LEVEL to be one of debug, info, warn, error, silent, got \"loud\".\n");
    expect(err).toContain("connection, from .env: Expected DATABASE_URL to be of the form");
    expect(err).toContain("retention, from outbox.config.ts: Expected retention.dead to be a duration");
    expect(err).toContain('JOBS_BATCH, from .env: Expected a whole number from 1, got "ten".');
    expect(err).toContain('JOBS_SUMMARY, from .env: Expected true or false, got "perhaps".');
    expect(out + err).not.toContain("s3cret");
  });

  it("is TSV when piped and a table on a terminal; control characters in a value are shown as escapes", async () => {
    vi.stubEnv("MAIL_FROM", "a\u001b[2Jb");
    const piped = await show([]);
    expect(piped.out.split("\n")[0]).toBe("name\tvalue\tsource\tvariable\tkey");
    expect(piped.out).toContain("smtp.from\ta\\u001b[2Jb\tenvironment\tMAIL_FROM\tsmtp.from\n");
    const table = await show([], { tty: true, columns: 200 });
    expect(table.out).toMatch(/^name +value +source +variable +key\n/);
    expect(piped.out + table.out).not.toContain("\u001b");
  });

  it("a .env that cannot be read is said with its path, exit 78", async () => {
    await mkdir(join(root, ".env"));
    const { code, out, err } = await show();
    expect({ code, out }).toEqual({ code: 78, out: "" });
    expect(err).toMatch(/^Expected .*\.env to be a file of lines such as DATABASE_URL=/);
  });

  it("has a row for every setting, and every setting a meaning", async () => {
    const { row } = await show();
    for (const [name, { meaning, variable, inFile }] of Object.entries(settingsTable)) {
      expect(row(name), name).toMatchObject({ variable, key: inFile ? name : null });
      expect(meaning).not.toBe("");
      expect(variable !== null || inFile, `${name} can be set`).toBe(true);
    }
  });
});
