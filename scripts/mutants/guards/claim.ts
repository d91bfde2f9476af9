// The claim: each job for one worker, its attempt counted, never more than asked for, and found although it came late.

import type { Mutant } from "../mutant.ts";
import { timedOut } from "../suite.ts";

const exchange = "src/outbox/store/exchange.ts";
const lease = "test/outbox/lease.test.ts";
const races = "test/outbox/races.test.ts";
const cursors = "test/outbox/cursors.test.ts";

export const claimGuards: readonly Mutant[] = [
  {
    name: "attempts-at-claim",
    guard: "An attempt counts from its claim, so a payload that kills the process ends as a dead letter.",
    file: "src/outbox/store/claim.ts",
    out: "attempts = attempts + 1,",
    in: "",
    noticedBy: { [lease]: "returns the jobs of a worker that is gone, with the attempt counted" },
  },
  {
    name: "for-update",
    guard: "A job is claimed although somebody inserts a row that refers to it.",
    file: exchange,
    out: "for no key update skip locked",
    in: "for update skip locked",
    noticedBy: { [races]: "a claim takes a job to which somebody is just adding a row that refers to it" },
  },
  {
    name: "skip-locked",
    guard: "A claim passes over what another has locked, and waits for nobody.",
    file: exchange,
    out: "for no key update skip locked",
    in: "for no key update",
    noticedBy: { [races]: "the second one passes over a row that the first one has locked" },
    says: timedOut,
  },
  {
    name: "claim-limit",
    guard: "A claim of many lanes takes no more than its limit.",
    file: exchange,
    out: "(select lost is not null from settlement)\n    limit $10",
    in: "(select lost is not null from settlement)",
    noticedBy: { [lease]: "a claim never takes more than its limit" },
  },
  {
    name: "materialized-claim",
    guard: "What is claimed is what was picked and locked, once: looked for again while the update goes on, it would be more.",
    file: "src/outbox/store/claim.ts",
    out: "where ctid = any (array(select ctid from ${picked}))",
    in: "where id in (select again.id from outbox as again where again.status = 'pending' order by again.run_at limit (select count(*) from ${picked}))",
    noticedBy: { [races]: "by 8 claimers of 10,000 jobs" },
    says: "error: deadlock detected",
  },
  {
    name: "buried-claims",
    guard: "A worker that was buried takes nothing more under its old name.",
    file: "src/outbox/store/claim.ts",
    out: "and exists (select from outbox_worker where id = $1)",
    in: "",
    noticedBy: { [lease]: "takes nothing more under its old name" },
  },
  {
    name: "busy-sweep",
    guard: "A cursor is not trusted for ever: in the middle of a load, what appeared behind it is found.",
    file: "src/outbox/pump.ts",
    out: "const busyLookMs = 200;",
    in: "const busyLookMs = 1e9;",
    noticedBy: { [cursors]: "runs within a second or so in the middle of a load" },
  },
  {
    name: "deep-sweep",
    guard: "What appears far behind all cursors and rings for nobody is found within seconds.",
    file: "src/outbox/pump.ts",
    out: "const deepLookMs = 5000;",
    in: "const deepLookMs = 1e9;",
    noticedBy: { [cursors]: "is found by an idle worker within about five seconds" },
  },
  {
    name: "cursor-past-look",
    guard: "A claim that was under way while a look found something behind it does not carry the cursor past that.",
    file: "src/outbox/lanes.ts",
    out: "if (offer.setBacks !== setBacks) return;",
    in: "",
    noticedBy: { "test/properties/lanes-model.test.ts": "a claim that was under way while a look found something behind it" },
  },
  {
    name: "unanswered-claim",
    guard: "What a claim took whose answer was lost is given back, uncounted.",
    file: "src/outbox/store/claim.ts",
    out: "set status = 'pending', attempts = attempts - 1,",
    in: "set status = 'pending',",
    noticedBy: { [lease]: "what a claim took whose answer was lost" },
  },
  {
    name: "read-committed-session",
    guard: "The engine's statements are READ COMMITTED, whatever the database's default.",
    file: "src/service/database.ts",
    out: String.raw`${"$"}{String.raw${"`"}-c default_transaction_isolation=read\ committed${"`"}}`,
    in: "",
    noticedBy: { "test/service/database.test.ts": "is READ COMMITTED" },
  },
  {
    name: "read-committed-transaction",
    guard: "So are its transactions, also behind a pooler, where the session cannot be told.",
    file: "src/service/database.ts",
    out: "begin isolation level read committed",
    in: "begin",
    noticedBy: { "test/guards/isolation.test.ts": "behind a pooler" },
  },
];
