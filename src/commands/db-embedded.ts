// db:start, db:stop, db:status, db:reset: the embedded Postgres, kept running, stopped, shown, begun anew.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { migrate } from "../service/migrate.ts";
import { migrationsDir } from "../service/service.ts";
import type { CommandContext } from "./context.ts";
import { note, printValue, write } from "./output.ts";

export function embeddedCommands(program: Command, context: CommandContext): void {
  const embedded = () => import("../service/embedded.ts");

  async function dataDir(): Promise<string> {
    const settings = await context.settings();
    if (settings.databaseUrl !== null) throw new OutboxError("USAGE", "Expected no DATABASE_URL: the db: commands are for the embedded Postgres, and with DATABASE_URL set none is used.");
    if (settings.production) throw new OutboxError("CONFIGURATION", "Expected NODE_ENV not to be production: the embedded Postgres is for development only.");
    return settings.embeddedDir;
  }

  program
    .command("db:start")
    .description("start the embedded Postgres and keep it running")
    .action(async () => {
      const server = await (await embedded()).startEmbedded({ dataDir: await dataDir() });
      await migrate(server.url, migrationsDir(context.root));
      await note(context.io, {}, `${server.started ? "Started" : "Already running"}; it keeps running until db:stop. Its URL, with the password:`);
      await write(context.io.stdout, `${server.url}\n`);
    });
  program
    .command("db:stop")
    .description("stop the embedded Postgres")
    .action(async () => {
      const stopped = await (await embedded()).stopEmbedded(await dataDir());
      await note(context.io, {}, stopped ? "Stopped." : "It was not running.");
    });
  program
    .command("db:status")
    .description("say where the embedded Postgres is and whether it runs")
    .option("--json", "print one JSON document")
    .action(async ({ json = false }: { json?: boolean }) => {
      const status = await (await embedded()).embeddedStatus(await dataDir());
      if (json) return printValue(context.io, status, { json: true, ndjson: false });
      await write(context.io.stdout, Object.entries(status).map(([name, value]) => `${name.padEnd(12)}${String(value)}\n`).join(""));
    });
  program
    .command("db:reset")
    .description("stop the embedded Postgres and delete its data")
    .option("--yes", "delete without asking")
    .action(async ({ yes = false }: { yes?: boolean }) => {
      const dir = await dataDir();
      if (!yes) throw new OutboxError("USAGE", `Expected --yes: this deletes all data of the embedded Postgres in ${dir}. Run: npm run app:cli -- db:reset --yes`);
      await (await embedded()).resetEmbedded(dir);
      await note(context.io, {}, "Deleted. The next command begins with an empty database.");
    });
}
