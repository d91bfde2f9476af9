// migrate and migrate:status: prisma/migrations, as `prisma migrate deploy` would apply them.

import type { Command } from "commander";
import { migrationsDir } from "../service/place.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { note, printRows } from "./output.ts";

export function migrateCommands(program: Command, context: CommandContext): void {
  program
    .command("migrate")
    .description("apply what is pending of prisma/migrations")
    .addHelpText("before", "Examples:\n  npm run app:cli migrate\n  DATABASE_URL=postgresql://… npm run app:cli migrate\n  npm run app:cli migrate:status\n")
    .addHelpText("after", "\nExit codes: 0 done (also when there was nothing to do), 69 database unreachable, 78 a migration failed, or the configuration is wrong.")
    .action(async () => {
      const [{ chooseDatabase }, { migrate }] = await Promise.all([import("../service/service.ts"), import("../service/migrate.ts")]);
      const chosen = await chooseDatabase(await context.settings(), context.root);
      try {
        const { applied, alreadyApplied, changed } = await migrate(chosen.url, migrationsDir(context.root));
        for (const name of applied) await note(context.io, {}, `Applied ${name}.`);
        for (const name of changed) await note(context.io, {}, `${name} was edited after it had been applied; the database has what it said then.`);
        await note(context.io, {}, applied.length === 0 ? `Nothing to do: all ${alreadyApplied.length} migrations are applied.` : "The database is up to date.");
      } finally {
        await chosen.close();
      }
    });
  program
    .command("migrate:status")
    .description("say which migrations are applied")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli migrate:status\n  npm run -s app:cli -- migrate:status --json\n  npm run app:cli migrate:status || npm run app:cli migrate\n")
    .addHelpText("after", "\nExit codes: 0 up to date, 4 not, 69 database unreachable, 78 configuration.")
    .action(async ({ json = false }: { json?: boolean }) => {
      const [{ chooseDatabase }, { migrationStatus }] = await Promise.all([import("../service/service.ts"), import("../service/migrate.ts")]);
      const chosen = await chooseDatabase(await context.settings(), context.root);
      try {
        const status = await migrationStatus(chosen.url, migrationsDir(context.root));
        const rows = [
          ...status.applied.map((migration) => ({ migration, state: status.changed.includes(migration) ? "applied, edited since" : "applied" })),
          ...status.failed.map(({ name }) => ({ migration: name, state: "failed" })),
          ...status.unknown.map((migration) => ({ migration, state: "applied, but not in the folder" })),
          ...status.pending.map((migration) => ({ migration, state: "pending" })),
        ];
        await printRows(context.io, rows, { json, ndjson: false });
        context.exitWith(status.pending.length + status.failed.length + status.unknown.length > 0 ? exitCodes.checkFailed : exitCodes.ok);
      } finally {
        await chosen.close();
      }
    });
}
