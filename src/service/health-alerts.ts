// What health:db says of alerts: which thresholds are reached at this moment, whether or not anybody was told, and whether
// those who are to be told can be.

import type { Alert, Alerts } from "../outbox/alerts.ts";
import { measureAlerts } from "../outbox/alerts.ts";
import type { Database } from "../outbox/database.ts";
import { failureOf } from "../outbox/failure.ts";
import { toJson } from "../outbox/payload.ts";
import { isTimeout } from "../outbox/reading.ts";
import { checkPayload } from "../outbox/schema.ts";
import { findUndelivered } from "../outbox/store/alerts.ts";
import { findingOf, nextOf } from "./alerts.ts";

/** So long a dead letter among the jobs that tell of alerts is a problem, if alerts are told only once. */
const undeliveredMs = 6 * 3_600_000;

/** One sentence each. */
export async function alertProblems(database: Database, alerts: Alerts): Promise<string[]> {
  return [...(await reached(database, alerts)), ...(await undelivered(database, alerts)), ...(await unmakable(alerts))];
}

async function reached(database: Database, { rules }: Alerts): Promise<string[]> {
  try {
    const measured = await database.transaction((tx) => measureAlerts(tx, rules));
    return measured.flatMap((each) => {
      if (!each.reached) return [];
      const found = { ...each.rule, ...each.measure };
      const [next] = nextOf(found);
      return [`${findingOf(found)}.${next === undefined ? "" : ` Look: \`${next}\`.`}`];
    });
  } catch (error) {
    if (isTimeout(error)) return ["Whether the thresholds of alerts are reached could not be measured in time."];
    throw error;
  }
}

async function undelivered(database: Database, { repeatMs }: Alerts): Promise<string[]> {
  const dead = await findUndelivered(database, repeatMs ?? undeliveredMs);
  return dead.map(({ id, type, error }) => `Nobody was told of an alert: ${type} ${id} became a dead letter${error === null ? "" : `, ${error}`}. Look: \`npm run app:cli jobs:get ${id}\`.`);
}

/** Each receiver is asked for the job of an alert that might be. */
async function unmakable({ rules, receivers }: Alerts): Promise<string[]> {
  const [rule] = rules;
  if (rule === undefined) return [];
  const at = new Date();
  const example: Alert = { ...rule, state: "raised", value: rule.threshold, jobs: 1, more: false, types: [{ type: "example", jobs: 1 }], sample: { id: "00000000-0000-0000-0000-000000000000", type: "example", at, error: null }, raisedAt: at, at };
  const problems = await Promise.all(
    receivers.map(async ({ name, load }) => {
      try {
        const { contract, payload } = (await load())(example);
        checkPayload(contract, payload);
        toJson(contract.type, payload);
        return null;
      } catch (error) {
        return `${name} makes no job that can be stored: ${failureOf(error).message}`;
      }
    }),
  );
  return problems.filter((problem) => problem !== null);
}
