// npm run demo: a business that runs on the outbox, from an empty database to delivered mail, in a few seconds.

import { PrismaPg } from "@prisma/adapter-pg";
import { join, relative } from "node:path";
import { PrismaClient } from "../generated/prisma/client.ts";
import { loadSettings } from "../src/service/config.ts";
import { logEvents } from "../src/service/log-events.ts";
import { createLog } from "../src/service/log.ts";
import { openService } from "../src/service/service.ts";
import { uuid7 } from "../src/outbox/uuid.ts";
import type { NewProposal } from "./proposals.ts";
import { createProposal } from "./proposals.ts";

const root = join(import.meta.dirname, "..");
const bold = (text: string) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[1m${text}\u001b[0m` : text);
const say = (text = "") => console.log(text);
const startedAt = performance.now();

const customers: NewProposal[] = [
  { customer: "Ada Lovelace", email: "ada@example.com", title: "An engine that computes", amountCents: 1_250_000 },
  { customer: "Łukasz Żółć", email: "lukasz@example.com", title: "Warsaw warehouse", amountCents: 480_000 },
  { customer: "Grace Hopper", email: "grace@example.com", title: "A compiler, with manual", amountCents: 99_900 },
];

// The demo writes into the embedded Postgres only, and sends mail into files only, whatever the environment says.
const settings = { ...(await loadSettings(root)), databaseUrl: null, smtpUrl: null };
const service = await openService(settings, root, logEvents(createLog({ level: "warn", format: "text", stderr: process.stderr })));
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: service.databaseUrl }) });
try {
  say(bold("1. Three proposals, each with four jobs, each in one prisma.$transaction"));
  const firstRun = (await prisma.proposal.count()) === 0;
  const firstId = uuid7(); // ids sort by time: the jobs of this run are those from here on
  for (const customer of customers) {
    await createProposal(prisma, service.outbox, customer);
    say(`   committed    ${customer.customer}: ${customer.title}`);
  }

  say(bold("\n2. A fourth one that fails after the enqueue, just before the commit"));
  const before = await rowCounts();
  await createProposal(prisma, service.outbox, { customer: "Nobody", email: "nobody@example.com", title: "Never", amountCents: 1 }, () => {
    throw new Error("the card was declined");
  }).catch((error: unknown) => say(`   rolled back  ${String(error)}`));
  const after = await rowCounts();
  say(`   left behind  ${after.proposals - before.proposals} proposals, ${after.jobs - before.jobs} jobs`);

  say(bold("\n3. The drain, as cron would run it"));
  const { done, retried, dead } = await service.outbox.drain({ handlers: service.handlers });
  say(`   ${done} done, ${retried} to be retried, ${dead} dead\n`);

  const jobs = await prisma.outbox.findMany({ where: { id: { gte: firstId } }, orderBy: [{ type: "asc" }, { id: "asc" }], take: 50 });
  table(
    ["type", "status", "attempts", "ms", "what happened"],
    jobs.map((job) => [job.type, job.status, String(job.attempts), String(durationOf(job)), happened(job.type, job.result, job.lastError)]),
  );

  say(bold("\nWhere to look"));
  say(`   mail       ${shown(settings.mailDir)}/*.eml`);
  say(`   documents  ${shown(settings.documentsDir)}/*.pdf`);
  say(`   inbox      ${await prisma.notification.count()} rows of the table notification`);
  say(`   copies     ${await prisma.proposalCopy.count()} rows of the table demo_proposal_copy, upserted by data.sync`);
  say(bold("\nTry next"));
  say("   npm run app:cli health:db");
  say(`   npm run app:cli db outbox findMany '{"where":{"status":"done"},"take":5}'`);
  say(`   npm run app:cli db outbox groupBy '{"by":["type","status"],"_count":{"_all":true}}'`);
  say("   npm run start:worker        (stays; Ctrl-C stops it)");
  say("   demo/proposals.ts           the service code that you have just run");
  if (process.env.DATABASE_URL) say("\n   DATABASE_URL is set: the commands above will use it. The demo has used the embedded Postgres.");
  say(`\n${firstRun ? "Done" : "Done again, beside what was there,"} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
  process.exitCode = retried + dead === 0 ? 0 : 1;
} finally {
  await prisma.$disconnect();
  await service.close();
}

async function rowCounts(): Promise<{ proposals: number; jobs: number }> {
  return { proposals: await prisma.proposal.count(), jobs: await prisma.outbox.count() };
}

function durationOf({ startedAt, finishedAt }: { startedAt: Date | null; finishedAt: Date | null }): number | string {
  return startedAt === null || finishedAt === null ? "" : finishedAt.getTime() - startedAt.getTime();
}

function happened(type: string, result: unknown, lastError: string | null): string {
  if (lastError !== null) return lastError;
  const field = (name: string): unknown => (typeof result === "object" && result !== null ? (result as Record<string, unknown>)[name] : undefined);
  switch (type) {
    case "email.send":
      return `mail in ${shown(String(field("file")))}`;
    case "pdf.generate":
      return `${shown(String(field("path")))}, ${String(field("pages"))} page, ${Math.round(Number(field("bytes")) / 1024)} KB`;
    case "notification.send":
      return "a row in the inbox of sales, exactly once";
    case "data.sync":
      return `${String(field("written"))} row upserted`;
    default:
      return "";
  }
}

function shown(path: string): string {
  return relative(process.cwd(), path);
}

function table(head: string[], rows: string[][]): void {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of [head, ...rows]) say(`   ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ").trimEnd()}`);
}
