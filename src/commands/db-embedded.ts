// db:start, db:stop, db:status, db:reset, db:psql: the embedded Postgres, kept running, stopped, shown, begun anew, asked.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { ask, canAsk } from "./consent.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { note, printValue, write } from "./output.ts";

const exits = "\nExit codes: 0 done (also when there was nothing to do), 2 usage, or DATABASE_URL is set, 69 it does not start, 78 configuration.";

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
    .description("start the embedded Postgres, keep it running, and print its URL")
    .addHelpText("before", "Examples:\n  npm run app:cli db:start\n  npm run app:cli db:stop\n  export DATABASE_URL=$(npm run -s app:cli db:start)\n")
    .addHelpText("after", exits)
    .action(async () => {
      const [{ migrate }, { migrationsDir }] = await Promise.all([import("../service/migrate.ts"), import("../service/service.ts")]);
      const server = await (await embedded()).startEmbedded({ dataDir: await dataDir() });
      await migrate(server.url, migrationsDir(context.root));
      await note(context.io, {}, `${server.started ? "Started" : "Already running"}; it keeps running until db:stop. Its URL, with the password:`);
      await write(context.io.stdout, `${server.url}\n`);
    });
  program
    .command("db:stop")
    .description("stop the embedded Postgres, whoever uses it")
    .addHelpText("before", "Examples:\n  npm run app:cli db:stop\n  npm run app:cli db:status\n  npm run app:cli db:start\n")
    .addHelpText("after", exits)
    .action(async () => {
      const stopped = await (await embedded()).stopEmbedded(await dataDir());
      await note(context.io, {}, stopped ? "Stopped." : "It was not running.");
    });
  program
    .command("db:status")
    .description("say where the embedded Postgres is and whether it runs")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli db:status\n  npm run -s app:cli -- db:status --json\n  npm run app:cli db:start\n")
    .addHelpText("after", exits)
    .action(async ({ json = false }: { json?: boolean }) => {
      const status = await (await embedded()).embeddedStatus(await dataDir());
      if (json) return printValue(context.io, status, { json: true, ndjson: false });
      await write(context.io.stdout, Object.entries(status).map(([name, value]) => `${name.padEnd(12)}${String(value)}\n`).join(""));
    });
  program
    .command("db:reset")
    .description("stop the embedded Postgres and delete its data")
    .option("--yes", "delete without asking; needed off a terminal")
    .addHelpText("before", "Examples:\n  npm run app:cli db:reset\n  npm run -s app:cli -- db:reset --yes\n  npm run app:cli db:status\n")
    .addHelpText("after", exits)
    .action(async ({ yes = false }: { yes?: boolean }) => {
      const dir = await dataDir();
      if (!yes && !canAsk(context.io)) throw new OutboxError("USAGE", `Expected --yes: this deletes all data of the embedded Postgres in ${dir}. Run: npm run app:cli -- db:reset --yes`);
      if (!yes && !(await ask(context.io, `Delete all data of the embedded Postgres in ${dir}?`))) {
        context.exitWith(exitCodes.usage);
        return note(context.io, {}, "Nothing was changed.");
      }
      await (await embedded()).resetEmbedded(dir);
      await note(context.io, {}, "Deleted. The next command begins with an empty database.");
    });
  program
    .command("db:psql")
    .description("ask the embedded Postgres by psql")
    .argument("[arguments...]", 'for psql, after "--"')
    .addHelpText("before", "Examples:\n  npm run app:cli db:psql\n  npm run -s app:cli -- db:psql -- -c 'select status, count(*) from outbox group by status'\n  npm run -s app:cli -- db:psql -- --csv -c 'select * from outbox_worker'\n")
    .addHelpText("after", "\nExit codes: 0 done, 1 to 3 what psql says (1 a failed statement, 2 a broken connection, 3 a failed script), 69 the server does not start, 78 there is no psql here.\nA Postgres of your own: psql \"$DATABASE_URL\"")
    .action(async (args: readonly string[]) => {
      const { requirePsql, runPsql } = await import("./psql.ts");
      const settings = await context.settings();
      await dataDir(); // refuses what all db: commands refuse
      await requirePsql();
      const { chooseDatabase } = await import("../service/service.ts");
      const server = await chooseDatabase(settings, context.root);
      try {
        context.exitWith(await runPsql(server.url, args));
      } finally {
        await server.close();
      }
    });
}
