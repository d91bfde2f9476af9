// Alerts as outbox.config.ts has them: who is told by which job, and the words. When one is raised: outbox/alert-rules.ts.

import type { AlertThresholds } from "../outbox/alert-rules.ts";
import { alertRules } from "../outbox/alert-rules.ts";
import type { Alert, Alerts, Receiver } from "../outbox/alerts.ts";
import type { JobRequest } from "../outbox/enqueue.ts";
import { OutboxError, shown } from "../outbox/errors.ts";
import type { Measure } from "../outbox/store/alerts.ts";
import { shownDuration } from "../outbox/retention.ts";
import { visible } from "./visible.ts";

/** An alert with its words, as `notify` is given it. */
export interface AlertMessage extends Alert {
  /** What, how many, since when, an example: one sentence or two. */
  readonly sentence: string;
  /** The commands to run next. Empty when it is over. */
  readonly next: readonly string[];
}

/**
 * Who is told: `{ email: "ops@example.com" }` by email.send, `{ webhook: "ops" }`, one of `webhooks`, by webhook.send as the
 * event outbox.alert; or a job of any type: `(alert) => notificationSend.job({ userId: "ops", type: "alert", message: alert.sentence })`.
 */
export type Notify = { readonly email: string } | { readonly webhook: string } | ((alert: AlertMessage) => JobRequest);

export interface AlertsConfig extends AlertThresholds {
  /** Who is told. Default: nobody but the log and health:db. */
  readonly notify?: readonly Notify[];
}

const keys = ["deadLetters", "oldestDue", "stuck", "repeat", "notify"];

/** Checks what was configured. `webhooks`: the names that there are; null when nobody knows. */
export function alertsOf(config: unknown, webhooks: readonly string[] | null): Alerts {
  if (typeof config !== "object" || config === null || Array.isArray(config)) throw refused("alerts", `to be an object such as { deadLetters: 10, notify: [{ email: "ops@example.com" }] }`, config);
  const unknown = Object.keys(config).find((name) => !keys.includes(name));
  if (unknown !== undefined) throw refused("alerts", `to have ${keys.join(", ")}`, unknown);
  const { notify = [] } = config as { readonly notify?: unknown }; // checked here
  if (!Array.isArray(notify)) throw refused("alerts.notify", `to be a list such as [{ email: "ops@example.com" }, { webhook: "ops" }]`, notify);
  return { ...alertRules(config), receivers: Array.from<unknown, Receiver>(notify, (each, index) => receiverOf(`alerts.notify[${index}]`, each, webhooks)) };
}

function receiverOf(name: string, given: unknown, webhooks: readonly string[] | null): Receiver {
  if (typeof given === "function") return { name, load: () => Promise.resolve((alert) => jobFrom(name, (given as (alert: AlertMessage) => unknown)(messageOf(alert)))) };
  const [field, ...others] = typeof given === "object" && given !== null ? Object.entries(given as Record<string, unknown>) : [];
  const [key, value] = field ?? [];
  if (others.length > 0 || (key !== "email" && key !== "webhook")) throw refused(name, `to be { email: "ops@example.com" }, { webhook: "name" } or a function that makes a job`, given);
  if (typeof value !== "string" || value === "") throw refused(`${name}.${key}`, "to be a text", value);
  if (key === "email") {
    // Whether it is an address in every detail is known to the handler alone, which is not loaded for this.
    if (!/^[^@\p{Cc}]+@[^@\p{Cc}]+$/u.test(value)) throw refused(`${name}.email`, `to be one address such as "ops@example.com"`, value);
    return { name, load: () => byEmail(value) };
  }
  if (webhooks?.includes(value) === false) throw refused(`${name}.webhook`, `to be the name of one of webhooks in the configuration (${webhooks.length === 0 ? "there is none" : webhooks.join(", ")})`, value);
  return { name, load: () => byWebhook(value) };
}

function refused(path: string, expected: string, given: unknown): OutboxError {
  return new OutboxError("CONFIGURATION", `Expected ${path} ${expected}, got ${given === undefined ? "nothing" : shown(given)}.`);
}

/** What a function of the configuration gave back. */
function jobFrom(name: string, made: unknown): JobRequest {
  if (typeof made === "object" && made !== null && "contract" in made && "payload" in made && "options" in made) return made as JobRequest; // the rest is checked when it is stored
  throw new OutboxError("CONFIGURATION", `Expected ${name} to give back a job, as contract.job(payload) makes it, got ${made instanceof Promise ? "a promise" : typeof made}.`);
}

async function byEmail(to: string): Promise<(alert: Alert) => JobRequest> {
  const { emailSend } = await import("../handlers/email-send.ts");
  return (alert) => {
    const { sentence, next } = messageOf(alert);
    const body = [sentence, ...(next.length === 0 ? [] : ["Look at it:", ...next.map((command) => `    ${command}`)])].join("\n\n");
    return emailSend.job({ to, subject: `[postcommit] ${subjectOf(alert)}`, body: `${body}\n` });
  };
}

async function byWebhook(endpoint: string): Promise<(alert: Alert) => JobRequest> {
  const { webhookSend } = await import("../handlers/webhook-send.ts");
  return (alert) => {
    const { name, kind, state, threshold, value, jobs, more, types, sample, raisedAt, at, sentence, next } = messageOf(alert);
    const data = { alert: name, kind, state, sentence, next, threshold, value, jobs, more, types, sample: sample && { ...sample, at: sample.at.toISOString() }, raisedAt: raisedAt.toISOString(), at: at.toISOString() };
    return webhookSend.job({ endpoint, event: "outbox.alert", data });
  };
}

function messageOf(alert: Alert): AlertMessage {
  return { ...alert, sentence: sentenceOf(alert), next: nextOf(alert) };
}

function subjectOf(alert: Alert): string {
  const state = { raised: "", lasting: "still: ", over: "over: " }[alert.state];
  return `${state}${alert.state === "over" ? visible(alert.name) : headOf(alert)}`.slice(0, 200);
}

/** What is told, for people: one line, whatever the types are called. */
export function sentenceOf(alert: Alert): string {
  switch (alert.state) {
    case "raised":
      return `${findingOf(alert)}.`;
    case "lasting":
      return `Still, since ${alert.raisedAt.toISOString()}: ${findingOf(alert)}.`;
    case "over":
      return `Over: the alert "${visible(alert.name)}", raised ${alert.raisedAt.toISOString()}, is below its threshold again.`;
  }
}

export type Finding = Measure & Pick<Alert, "kind" | "threshold" | "withinMs">;

/** What was found, with an example and without its end. */
export function findingOf(found: Finding): string {
  const { types, sample, kind } = found;
  const shown = types.slice(0, 3).map(({ type, jobs }) => (types.length === 1 ? visible(type) : `${jobs} ${visible(type)}`));
  const among = `${shown.join(", ")}${types.length > 3 ? ` and ${types.length - 3} more types` : ""}`;
  if (sample === null) return headOf(found);
  const { type, id, at, error } = sample;
  const which = { deadLetters: "the newest", oldestDue: "the oldest", stuck: "the longest" }[kind];
  return `${headOf(found)} (${among}); ${which}: ${visible(type)} ${id}, ${kind === "deadLetters" ? "of" : "since"} ${at.toISOString()}${error === null ? "" : `, ${visible(error)}`}`;
}

function headOf({ kind, jobs, more, threshold, withinMs }: Finding): string {
  const [one, many] = { deadLetters: ["dead letter", "dead letters"], oldestDue: ["job has", "jobs have"], stuck: ["job has", "jobs have"] }[kind] as [string, string];
  const what = `${jobs}${more ? " or more" : ""} ${jobs === 1 && !more ? one : many}`;
  switch (kind) {
    case "deadLetters":
      return `${what}${withinMs === null ? "" : ` within ${shownDuration(withinMs)}`}, threshold ${threshold}`;
    case "oldestDue":
      return `${what} been due for ${shownDuration(threshold)} or longer`;
    case "stuck":
      return `${what} been processing for ${shownDuration(threshold)} or longer`;
  }
}

/** The commands by which one looks at what was found. */
export function nextOf(found: Finding & { readonly state?: Alert["state"] }): string[] {
  const { kind, sample, types } = found;
  if (found.state === "over" || sample === null) return [];
  const [only] = types;
  switch (kind) {
    case "deadLetters":
      return ["npm run app:cli errors", `npm run -s app:cli -- jobs:list --status error${only !== undefined && types.length === 1 ? ` --type ${inShell(only.type)}` : ""}`];
    case "oldestDue":
      return [`npm run app:cli jobs:why ${sample.id}`, "npm run app:cli workers"];
    case "stuck":
      return [`npm run app:cli jobs:get ${sample.id}`, "npm run app:cli workers"];
  }
}

/** One word of a shell's command line. */
function inShell(text: string): string {
  return /^[\w.:/@+-]+$/.test(text) ? text : `'${visible(text).replaceAll("'", `'\\''`)}'`;
}
