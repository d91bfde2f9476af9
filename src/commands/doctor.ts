// doctor: what is wrong, how bad, how it shows and what mends it. --grants: SQL for the three database roles.

import type { Command } from "commander";
import type { Finding } from "../service/doctor/look.ts";
import { visible } from "../service/visible.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { printRows, printValue, write } from "./output.ts";

export function doctor(program: Command, context: CommandContext): void {
  program
    .command("doctor")
    .description("say what is wrong with the database, the workers and this installation, and what mends it")
    .option("--json", "print one JSON document")
    .option("--grants", "print SQL that makes the database roles enqueuer, drainer and viewer, and do nothing else")
    .addHelpText("before", "Examples:\n  npm run app:cli doctor\n  npm run -s app:cli -- doctor --json\n  npm run -s app:cli -- doctor --grants | psql \"$DATABASE_URL\"\n")
    .addHelpText(
      "after",
      "\nIt changes nothing: every look is a read-only transaction of 4 s at most. Read a fix before you run it.\n\nExit codes: 0 no problem found (warnings and notices may be), 4 a problem, 69 database unreachable, 78 configuration.\nMore: docs/how-to/find-out-what-is-wrong.md, docs/how-to/give-roles-what-they-need.md",
    )
    .action(async ({ json = false, grants = false }: { json?: boolean; grants?: boolean }) => {
      if (grants) {
        const { grantsSql } = await import("../service/doctor/grants.ts");
        return json ? printValue(context.io, { sql: grantsSql() }, { json, ndjson: false }) : write(context.io.stdout, grantsSql());
      }
      const findings = await examineAll(context);
      if (json) await printValue(context.io, { healthy: !findings.some(isProblem), findings }, { json, ndjson: false });
      else if (context.io.stdoutIsTty) await write(context.io.stdout, forPeople(findings));
      else await printRows(context.io, findings.map((finding) => ({ ...finding })), { json, ndjson: false }, ["severity", "check", "evidence", "fix"]);
      context.exitWith(findings.some(isProblem) ? exitCodes.checkFailed : exitCodes.ok);
    });
}

async function examineAll(context: CommandContext): Promise<Finding[]> {
  const settings = await context.settings();
  const [{ examine }, { allChecks }, { chooseDatabase, migrationsDir }, { handlersOf }, { typeOf }] = await Promise.all([
    import("../service/doctor/doctor.ts"),
    import("../service/doctor/checks.ts"),
    import("../service/service.ts"),
    import("../service/handlers.ts"),
    import("../outbox/registry.ts"),
  ]);
  const chosen = await chooseDatabase(settings, context.root);
  try {
    const examined = { url: chosen.url, migrations: migrationsDir(context.root), root: context.root, handled: handlersOf(settings).map(typeOf), schedules: settings.schedules.map(({ name }) => name) };
    return await examine(examined, allChecks);
  } finally {
    await chosen.close();
  }
}

const isProblem = ({ severity }: Finding): boolean => severity === "problem";

/** What is not well with its fix, the worst first; of what is well only the names. */
function forPeople(findings: readonly Finding[]): string {
  const well = findings.filter(({ severity }) => severity === "ok").map(({ check }) => check);
  const others = findings.filter(({ severity }) => severity !== "ok");
  const blocks = others.map(({ severity, check, evidence, fix }) => `${severity.toUpperCase().padEnd(8)} ${check}: ${visible(evidence)}\n${fix === null ? "" : fix.split("\n").map((line) => `           ${visible(line)}\n`).join("")}`);
  const counts = (["problem", "warning", "notice"] as const).map((severity) => counted(others.filter((finding) => finding.severity === severity).length, severity)).join(", ");
  return [...blocks, `ok       ${well.join(", ")}\n`, `${counts}, ${well.length} ok.${others.length > 0 ? " Read a fix before you run it." : ""}\n`].join("");
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
