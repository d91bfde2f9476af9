// The demo as a newcomer runs it.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { start } from "./support/cli.ts";

it("npm run demo goes from nothing to mails, documents and rows, twice, and uses neither DATABASE_URL nor SMTP_URL", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "demo-"));
  const env = { DATA_DIR: folder, DATABASE_URL: "postgresql://nobody@127.0.0.1:1/nothing", SMTP_URL: "smtp://127.0.0.1:1" };
  try {
    const first = await start("npm", ["run", "-s", "demo"], env).ended;
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toContain("12 done, 0 to be retried, 0 dead");
    expect(first.stdout).toContain("left behind  0 proposals, 0 jobs");
    expect((await readdir(join(folder, "mail"))).filter((name) => name.endsWith(".eml"))).toHaveLength(3);
    expect((await readdir(join(folder, "documents"))).filter((name) => name.endsWith(".pdf"))).toHaveLength(3);
    expect((await start("npm", ["run", "-s", "demo"], env).ended).stdout).toContain("Done again");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
