// Puts `db outbox` on the command line; what it does is in db-outbox.ts.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { CommandContext } from "./context.ts";
import { wholeNumber } from "./flags.ts";

interface OutboxFlags {
  readonly reveal?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly confirm?: number;
  readonly reason?: string;
  readonly json?: boolean;
  readonly ndjson?: boolean;
  readonly quiet?: boolean;
  readonly input: boolean;
}

export function dbOutboxCommand(program: Command, context: CommandContext): void {
  program
    .command("db")
    .description("look at the jobs, and repair them")
    .command("outbox")
    .summary("findMany, findFirst, findUnique, count, aggregate, groupBy, deleteMany, updateMany")
    .description("Reads and guarded changes of jobs, in Prisma's words. Reads run in a read-only transaction and show 50 rows unless told otherwise.")
    .argument("<operation>", "findMany, findFirst, findUnique, count, aggregate, groupBy, deleteMany or updateMany")
    .argument("[json]", 'the arguments as JSON, "-" to read them from standard input, or "@file"')
    .option("-n, --dry-run", "for a change: count, five samples and what would change; changes nothing")
    .option("--yes", "change without asking; needed off a terminal for what is not routine")
    .option("--confirm <count>", "for more than 1,000 jobs: how many you expect", wholeNumber)
    .option("--reason <text>", "why, for the ledger of actions")
    .option("--reveal", "show values that look like secrets")
    .option("--json", "print exactly one JSON document")
    .option("--ndjson", "print one JSON document a line")
    .option("--no-input", "never ask")
    .option("-q, --quiet", "leave the notices on stderr out")
    .addHelpText("before", `Examples:
  npm run app:cli db outbox findMany '{"where":{"status":"error"},"take":5}'
  npm run app:cli db outbox aggregate '{"where":{"createdAt":{"gte":"2024-01-01T00:00:00Z"}},"_count":{"id":true}}'
  npm run app:cli db outbox updateMany '{"where":{"status":"error","attempts":{"lt":3}},"data":{"status":"pending"}}'
`)
    .addHelpText("after", "\nDeleting done or cancelled jobs and putting failed or cancelled ones back to pending needs no --yes; every other change does, off a terminal.\nExit codes: 0 done (also when nothing was selected), 2 usage or missing confirmation, 69 database unreachable, 78 configuration.")
    .action(async (operation: string, input: string | undefined, flags: OutboxFlags) => {
      refuseIdleFlags(operation, flags);
      const [{ dbOutbox }, { chooseDatabase }] = await Promise.all([import("./db-outbox.ts"), import("../service/service.ts")]);
      const chosen = await chooseDatabase(await context.settings(), context.root);
      try {
        const request = {
          operation,
          input,
          reveal: flags.reveal ?? false,
          dryRun: flags.dryRun ?? false,
          yes: flags.yes ?? false,
          confirm: flags.confirm ?? null,
          reason: flags.reason ?? null,
          json: flags.json ?? false,
          ndjson: flags.ndjson ?? false,
          quiet: flags.quiet ?? false,
          noInput: !flags.input,
        };
        context.exitWith(await dbOutbox(request, context.io, { url: chosen.url }));
      } finally {
        await chosen.close();
      }
    });
}

/** A read changes nothing anyway: who asks for a dry run of one has another operation in mind. */
function refuseIdleFlags(operation: string, flags: OutboxFlags): void {
  if (/many$/i.test(operation) && operation !== "findMany") return;
  const idle = (["dryRun", "yes", "confirm", "reason"] as const).filter((name) => flags[name] !== undefined);
  if (idle.length === 0) return;
  const names = idle.map((name) => (name === "dryRun" ? "--dry-run" : `--${name}`)).join(", ");
  throw new OutboxError("USAGE", `Expected ${names} with deleteMany or updateMany only, got it with ${operation}, which changes nothing.`);
}
