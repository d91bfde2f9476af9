// Where settings come from.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadSettings } from "../../src/service/config.ts";
import { handlersOf } from "../../src/service/handlers.ts";
import { typeOf } from "../../src/outbox/registry.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "config-"));
  for (const name of ["DATABASE_URL", "SMTP_URL", "MAIL_FROM", "DATA_DIR", "PDF_FONT", "API_URL", "LOG_LEVEL", "LOG_FORMAT", "NODE_ENV"]) vi.stubEnv(name, undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const file = (name: string, text: string) => writeFile(join(folder, name), text);
const url = (name: string) => `postgresql://u:p@127.0.0.1:5432/${name}`;

describe("settings", () => {
  it("have defaults: the embedded Postgres, mail into files, everything below var", async () => {
    expect(await loadSettings(folder)).toMatchObject({
      databaseUrl: null,
      smtpUrl: null,
      mailDir: join(folder, "var/mail"),
      documentsDir: join(folder, "var/documents"),
      embeddedDir: join(folder, "var/postgres"),
      logLevel: "info",
    });
  });

  it("come from outbox.config.ts, before it from .env, before that from the environment", async () => {
    await file("outbox.config.ts", `export default { connection: "${url("config")}", smtp: { from: "config@example.com" }, dataDir: "data" };`);
    expect(await loadSettings(folder)).toMatchObject({ databaseUrl: url("config"), mailFrom: "config@example.com", mailDir: join(folder, "data/mail") });
    await file(".env", `DATABASE_URL=${url("dotenv")}\nMAIL_FROM=dotenv@example.com\n`);
    expect(await loadSettings(folder)).toMatchObject({ databaseUrl: url("dotenv"), mailFrom: "dotenv@example.com" });
    vi.stubEnv("DATABASE_URL", url("environment"));
    expect(await loadSettings(folder)).toMatchObject({ databaseUrl: url("environment"), mailFrom: "dotenv@example.com" });
  });

  it("an empty DATABASE_URL is none", async () => {
    vi.stubEnv("DATABASE_URL", "");
    expect((await loadSettings(folder)).databaseUrl).toBeNull();
  });

  it("an outbox.config.ts without a default export is refused with the form it should have", async () => {
    await file("outbox.config.ts", "export const x = 1;");
    await expect(loadSettings(folder)).rejects.toThrow(/^Expected outbox\.config\.ts to have "export default defineConfig/);
  });
});

describe("handlers", () => {
  it("an app's handler for a built-in type takes its place", async () => {
    const own = { type: "email.send", load: () => Promise.reject(new Error("not loaded here")) };
    const settings = { ...(await loadSettings(folder)), handlers: [own] };
    const handlers = handlersOf(settings);
    expect(handlers.map(typeOf).sort()).toEqual(["audit.log", "data.sync", "email.send", "notification.deliver", "notification.send", "pdf.generate", "webhook.send"]);
    expect(handlers).toContain(own);
  });

  it("in production without an SMTP server there is none for email.send, so that its jobs wait", async () => {
    vi.stubEnv("NODE_ENV", "production");
    expect(handlersOf(await loadSettings(folder)).map(typeOf)).not.toContain("email.send");
    vi.stubEnv("SMTP_URL", "smtp://127.0.0.1:25");
    expect(handlersOf(await loadSettings(folder)).map(typeOf)).toContain("email.send");
  });
});
