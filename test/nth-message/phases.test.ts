// The slice of the loop over all messages (main.ts, npm run nth-message) that every run of the tests takes: in each phase of a
// drain and of a worker the request is lost once, and its answer once, with the connections cut and with a black hole.

import { afterAll, beforeAll, expect, inject, it } from "vitest";
import type { Fault, How, Passed } from "../support/message-proxy.ts";
import type { Program, Trial } from "./scenario.ts";
import { prepareJobs, tryOut } from "./scenario.ts";

const server = { adminUrl: inject("adminUrl"), template: inject("template"), runId: inject("runId") };
let jobs: Awaited<ReturnType<typeof prepareJobs>>;
beforeAll(async () => {
  jobs = await prepareJobs(server);
});
afterAll(() => jobs.close());

/** Statements by which a phase is known. */
const phases = {
  registering: /^insert into outbox_worker/,
  looking: /^with recursive found/,
  claiming: /^with done as materialized/,
  running: /^with job as materialized/,
  completing: /^commit$/,
  settling: /^with outcome as materialized/,
  beating: /^update outbox_worker set beat_at/,
} as const;

/** The first message that the program sends of such a statement, or that Postgres answers. */
const first = (statement: RegExp, sender: Passed["sender"]) => (message: Passed) => message.sender === sender && statement.test(message.statement);

const inParallel = 5;

async function phaseByPhase(program: Program, how: How): Promise<{ readonly what: string; readonly trial: Trial }[]> {
  const left = Object.entries(phases).flatMap(([phase, statement]) =>
    (["program", "postgres"] as const).map((sender) => ({ what: `${phase}, the ${sender === "program" ? "request" : "answer"} is lost`, fault: { at: first(statement, sender), when: "before", how } satisfies Fault })),
  );
  const next = left.values();
  const tried: { what: string; trial: Trial }[] = [];
  const trySome = async () => {
    for (const { what, fault } of next) tried.push({ what, trial: await tryOut(server, jobs.template, program, fault) });
  };
  await Promise.all(Array.from({ length: inParallel }, trySome));
  return tried;
}

it.each([
  ["drain", "cut"],
  ["drain", "black hole"],
  ["worker", "cut"],
  ["worker", "black hole"],
] as const)("a %s keeps every promise whatever phase the network fails in (%s)", { timeout: 180_000 }, async (program, how) => {
  for (const { what, trial } of await phaseByPhase(program, how)) {
    expect(trial.broken, `${what}\n${trial.stderr}`).toEqual([]);
    expect(trial.at, `${what}: no such message came`).not.toBeNull();
  }
});
