// health:db: reachable, migrated, counts, what is due longest, what is stuck, what has reached a threshold. Exits 0 or 4.

import type { Command } from "commander";
import { statuses } from "../outbox/job.ts";
import { typeOf } from "../outbox/registry.ts";
import type { Health } from "../service/health.ts";
import { migrationsDir } from "../service/place.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { printValue, write } from "./output.ts";
import { visible } from "../service/visible.ts";

export function healthDb(program: Command, context: CommandContext): void {
  program
    .command("health:db")
    .description("say whether the database can do its work")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli health:db\n  npm run -s app:cli -- health:db --json\n  npm run -s app:cli health:db || echo 'call somebody'\n")
    .addHelpText("after", "\n~ marks an estimate: of a large table, what would take long to count comes from Postgres's statistics (`estimated` in the JSON).\n\nExit codes: 0 healthy, 4 not (unreachable, not migrated, a job processing for over 10 minutes, or a threshold\nof alerts in outbox.config.ts reached), 78 configuration.")
    .action(async ({ json = false }: { json?: boolean }) => {
      const settings = await context.settings();
      const [{ chooseDatabase }, { checkHealth }, { handlersOf }] = await Promise.all([import("../service/service.ts"), import("../service/health.ts"), import("../service/handlers.ts")]);
      const chosen = await chooseDatabase(settings, context.root);
      try {
        const health = await checkHealth(chosen.url, migrationsDir(context.root), handlersOf(settings).map(typeOf), { alerts: settings.alerts });
        if (json) await printValue(context.io, health, { json: true, ndjson: false });
        else await write(context.io.stdout, sentences(health, chosen.embedded));
        context.exitWith(health.healthy ? exitCodes.ok : exitCodes.checkFailed);
      } finally {
        await chosen.close();
      }
    });
}

function sentences({ healthy, problems, serverVersion, migrations, counts, estimated, oldestDue, stuck, unhandled }: Health, embedded: boolean): string {
  const rows: [string, string][] = [["database", serverVersion === null ? "not reachable" : `reachable, PostgreSQL ${serverVersion}${embedded ? " (embedded)" : ""}`]];
  if (migrations !== null) {
    const { applied, pending, failed } = migrations;
    rows.push(["schema", pending.length + failed.length === 0 ? `migrated (${applied} migrations)` : `not migrated (${applied} applied, ${pending.length} pending, ${failed.length} failed)`]);
  }
  if (migrations !== null && migrations.pending.length + migrations.failed.length === 0) {
    rows.push(["jobs", counts === null ? "not counted: it took too long" : statuses.map((status) => `${estimated.includes(status) ? "~" : ""}${counts[status]} ${status}`).join(", ")]);
    rows.push(["oldest due", oldestDue === null ? "none" : `${visible(oldestDue.type)} ${oldestDue.id}, for ${Math.round(oldestDue.ageMs / 1000)} s`]);
    rows.push(["stuck", stuck.length === 0 ? "none" : `${stuck.length} processing for over 10 minutes`]);
  }
  if (unhandled.length > 0) rows.push(["no handler", unhandled.map(({ type, count }) => `${visible(type)} (${count} pending)`).join(", ")]);
  rows.push(["verdict", healthy ? "healthy" : "not healthy"]);
  return [...rows.map(([name, value]) => `${name.padEnd(12)}${value}`), ...problems.map((problem) => `  ${visible(problem)}`)].join("\n") + "\n";
}
