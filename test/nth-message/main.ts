// npm run nth-message [-- --drain | --worker | --enqueue] [--cut | --black-hole | --half-open] [--n 17 [--before | --after]] [--every 10 --offset 3]
// Lets the network fail at every message, one trial each, and prints what was broken and how to see it again.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createDatabase } from "../support/databases.ts";
import { layEvidence } from "../support/evidence.ts";
import { openTestServer } from "../support/global-setup.ts";
import type { Fault, How, Passed } from "../support/message-proxy.ts";
import { clients, tryToEnqueue } from "./enqueue.ts";
import { momentsOf } from "./moments.ts";
import type { Program } from "./scenario.ts";
import { prepareJobs, tryOut } from "./scenario.ts";

const { values } = parseArgs({
  options: {
    drain: { type: "boolean" },
    worker: { type: "boolean" },
    enqueue: { type: "boolean" },
    cut: { type: "boolean" },
    "black-hole": { type: "boolean" },
    "half-open": { type: "boolean" },
    before: { type: "boolean" },
    after: { type: "boolean" },
    n: { type: "string" },
    every: { type: "string", default: "1" },
    offset: { type: "string", default: "0" },
    parallel: { type: "string", default: String(availableParallelism() * 3) },
  },
});

/** Those that were asked for; all when none was. */
function chosen<Name extends string>(names: readonly Name[]): Name[] {
  const asked = names.filter((name) => values[name.replace(" ", "-") as keyof typeof values] === true); // each name is one of the options above
  return asked.length > 0 ? asked : [...names];
}

interface Result {
  readonly at: Passed | null;
  readonly broken: readonly string[];
  /** What else there is to say, and what the program wrote. */
  readonly story: string;
  readonly recoveredMs: number;
}
type Moment = Fault & { readonly at: number };
type Try = (fault: Moment | null) => Promise<Result & { readonly messages: readonly Passed[] }>;

const told = ({ name, sender, connection, statement }: Passed) => `${sender === "program" ? "to" : "from"} Postgres, connection ${connection}, ${name}${statement === "" ? "" : ` of: ${statement.slice(0, 70)}`}`;
const every = Math.max(1, Number(values.every));
const inSlice = ({ n }: { readonly n: number }) => (values.n === undefined ? n % every === Number(values.offset) % every : n === Number(values.n));
const total = { trials: 0, broken: 0, missed: 0, slowestMs: 0 };

/** One trial for each moment, so many at once. */
async function everyMoment(what: string, how: How, parallel: number, tryIt: Try): Promise<void> {
  const { messages, broken } = await tryIt(null);
  if (broken.length > 0) throw new Error(`${what} without any fault: ${broken.join("; ")}`);
  const whens = chosen<Fault["when"]>(["before", "after"]);
  const moments = momentsOf(messages, inSlice).filter(({ when }) => whens.includes(when));
  process.stdout.write(`${what}, ${how}: ${messages.length} messages, ${moments.length} moments\n`);
  const next = moments.values();
  let done = 0;
  const trySome = async () => {
    for (const moment of next) {
      judge(what, { ...moment, how }, await tryIt({ ...moment, how }).catch((error: unknown) => ({ at: null, broken: [String(error)], story: "", recoveredMs: 0 })));
      done += 1;
      if (done % 50 === 0) process.stdout.write(`  ${done} of ${moments.length} tried\n`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, trySome));
}

function judge(what: string, { at: n, when, how }: Moment, { at, broken, story, recoveredMs }: Result): void {
  total.trials += 1;
  if (at === null) total.missed += 1;
  if (broken.length > 0) total.broken += 1;
  total.slowestMs = Math.max(total.slowestMs, recoveredMs);
  if (broken.length === 0 && values.n === undefined) return;
  const where = at === null ? "it was not sent" : told(at);
  const [kind = ""] = what.split(" ");
  process.stdout.write(`${what}, ${how}, ${when} message ${n} (${where}); recovered after ${Math.round(recoveredMs)} ms; ${story}\n`);
  for (const sentence of broken) process.stdout.write(`  BROKEN: ${sentence}\n`);
  process.stdout.write(`  again: npm run nth-message -- --${kind} --${how.replace(" ", "-")} --${when} --n ${n}\n\n`);
}

const startedAt = performance.now();
const server = await openTestServer();
const jobs = await prepareJobs(server);
for (const how of chosen<How>(["cut", "black hole", "half open"])) {
  for (const what of chosen<Program | "enqueue">(["drain", "worker", "enqueue"])) {
    if (what !== "enqueue") {
      const tell = values.n === undefined ? [] : ["--verbose"];
      await everyMoment(what, how, Number(values.parallel), async (fault) => {
        const { exitCodes, stderr, ...trial } = await tryOut(server, jobs.template, what, fault, tell);
        return { ...trial, story: `exit codes ${exitCodes.join(", ")}\n${stderr.replace(/^(?=.)/gm, "  | ")}` };
      });
      continue;
    }
    for (const client of clients) {
      const database = await createDatabase(server, `template ${server.template}`);
      await layEvidence(database.pool);
      await everyMoment(`enqueue by ${client}`, how, 1, async (fault) => {
        const { told: wasTold, there, ...trial } = await tryToEnqueue(database, client, fault);
        return { ...trial, recoveredMs: 0, story: `the app was ${wasTold ? "" : "not "}told that it had worked, and it is ${there ? "" : "not "}there` };
      });
      await database.close();
    }
  }
}
await jobs.close();
await server.close();
const { trials, broken, missed, slowestMs } = total;
process.stdout.write(`${trials} trials in ${Math.round((performance.now() - startedAt) / 1000)} s, ${broken} broken; ${missed} came after the last message; the slowest recovery took ${Math.round(slowestMs)} ms\n`);
process.exit(broken > 0 ? 1 : 0);
