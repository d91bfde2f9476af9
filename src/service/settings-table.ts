// Every setting by its name: the variable, the place in outbox.config.ts, the default, and how it may be shown. Where a
// value is looked for, in which order: setting.ts. What the program makes of the values: config.ts.

import type { Alerts } from "../outbox/alerts.ts";
import type { RedrivePolicy } from "../outbox/redrive-policy.ts";
import { redrivePolicies } from "../outbox/redrive-policy.ts";
import type { Retention } from "../outbox/retention.ts";
import { OutboxError } from "../outbox/errors.ts";
import { typeOf } from "../outbox/registry.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import { defaultRetention, retentionMs, shownDuration } from "../outbox/retention.ts";
import type { RetentionMs } from "../outbox/retention.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import { alertsOf } from "./alerts.ts";
import type { OutboxConfig } from "./config.ts";
import { functionIn, listIn, objectIn, textIn, trueOrFalseIn } from "./config-values.ts";
import { checkHeartbeatUrl } from "./heartbeat.ts";
import { checkTokens } from "../http/tokens.ts";
import type { NamedToken, Role } from "../http/tokens.ts";
import { maskedPath, maskedSecret, maskedUrl, names } from "./masked.ts";
import { oneOf, setting, text, trueOrFalse } from "./setting.ts";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** A setting of outbox.config.ts has the name it has there: `smtp.url` is `smtp: { url }`. */
export const settingsTable = {
  connection: setting<string | null>({
    meaning: "`postgresql://user:password@host:port/database`; with `?pgbouncer=true` no session settings are sent. Must be set when `NODE_ENV` is `production`",
    variable: text("DATABASE_URL"),
    configured: (config) => textIn("connection", config.connection),
    fallback: null,
    fallbackText: "the embedded Postgres",
    check: checkDatabaseUrl,
    show: maskedUrl,
  }),
  production: setting({
    meaning: "`production` refuses the embedded Postgres and mail files",
    variable: { name: "NODE_ENV", parse: (given) => given === "production" },
    fallback: false,
    show: (production) => (production ? "production" : "development"),
  }),
  "smtp.url": setting<string | null>({
    meaning: "`smtp://user:password@host:587` or `smtps://…`. In production without it, `email.send` jobs wait and are reported",
    variable: text("SMTP_URL"),
    configured: (config) => textIn("smtp.url", objectIn("smtp", config.smtp)?.url),
    fallback: null,
    fallbackText: "none: `.eml` files",
    show: maskedUrl,
  }),
  "smtp.from": setting({
    meaning: "the sender of every mail",
    variable: text("MAIL_FROM"),
    configured: (config) => textIn("smtp.from", objectIn("smtp", config.smtp)?.from),
    fallback: "postcommit <no-reply@localhost.localdomain>",
  }),
  webhookSecret: setting<string | null>({
    meaning: "what a `webhook.send` with a `url` is signed with: `whsec_…`; two with a space between while receivers change over ([how](../how-to/send-webhooks.md))",
    variable: text("WEBHOOK_SECRET"),
    configured: (config) => textIn("webhookSecret", config.webhookSecret),
    fallback: null,
    show: maskedSecret,
  }),
  webhookAllowPrivate: setting({
    meaning: "`true` lets such a `url` lead into a private network or to this machine",
    variable: trueOrFalse("WEBHOOK_ALLOW_PRIVATE"),
    configured: (config) => trueOrFalseIn("webhookAllowPrivate", config.webhookAllowPrivate),
    fallback: false,
  }),
  "payments.key": setting<string | null>({
    meaning: "the payment provider's secret key; without it payment jobs wait and are reported ([how](../how-to/take-payments.md))",
    variable: text("PAYMENT_API_KEY"),
    configured: (config) => textIn("payments.key", objectIn("payments", config.payments)?.key),
    fallback: null,
    show: maskedSecret,
  }),
  "payments.url": setting({
    meaning: "where the provider is; in a private network only with `payments.allowPrivate`",
    variable: text("PAYMENT_API_URL"),
    configured: (config) => textIn("payments.url", objectIn("payments", config.payments)?.url),
    fallback: "https://api.stripe.com",
    show: maskedUrl,
  }),
  "payments.allowPrivate": setting({
    meaning: "`true` lets `payments.url` lead into a private network, and begin with `http://`",
    configured: (config) => trueOrFalseIn("payments.allowPrivate", objectIn("payments", config.payments)?.allowPrivate),
    fallback: false,
  }),
  dataDir: setting({
    meaning: "where `mail/`, `documents/` and the embedded `postgres/` are",
    variable: text("DATA_DIR"),
    configured: (config) => textIn("dataDir", config.dataDir),
    fallback: "var",
  }),
  pdfFont: setting<string | null>({
    meaning: "a TTF, OTF or TTC font used before it, for scripts it lacks",
    variable: text("PDF_FONT"),
    configured: (config) => textIn("pdfFont", config.pdfFont),
    fallback: null,
    fallbackText: "DejaVu Sans",
  }),
  apiUrl: setting({
    meaning: "what `health:api` asks",
    variable: text("API_URL"),
    fallback: "http://127.0.0.1:3000",
    show: maskedUrl,
  }),
  "http.tokens.view": tokensOf("view", "HTTP_TOKENS_VIEW", "sees jobs, figures and metrics"),
  "http.tokens.operate": tokensOf("operate", "HTTP_TOKENS_OPERATE", "sees them too, and enqueues, retries and cancels"),
  "http.tokens.run": tokensOf("run", "HTTP_TOKENS_RUN", "has what is due run by `/api/jobs/process`, and nothing else"),
  logLevel: setting<LogLevel>({
    meaning: "`debug`, `info`, `warn`, `error` or `silent`, for the worker; a drain says what failed",
    variable: oneOf("LOG_LEVEL", logLevels),
    fallback: "info",
  }),
  logFormat: setting<"json" | "text" | null>({
    meaning: "`json` or `text`",
    variable: oneOf("LOG_FORMAT", ["json", "text"] as const),
    fallback: null,
    fallbackText: "`json` for a worker off a terminal, else `text`",
  }),
  handlers: setting<readonly HandlerEntry[] | string | null>({
    meaning: "the app's own handlers, an array or the path of a folder of them ([how](../how-to/add-a-job-type.md)); one for a built-in type takes its place",
    configured: ({ handlers }) => (typeof handlers === "string" ? handlers : listIn("handlers", handlers, "handlers, as handle makes them, or a text", isHandler)),
    fallback: null,
    show: (handlers) => (typeof handlers === "string" ? handlers : handlers.map(typeOf).join(", ")),
  }),
  retention: setting<RetentionMs>({
    meaning: "how long finished jobs are kept, counted from `finishedAt`; `false` keeps them for ever ([how](../how-to/keep-the-table-small.md))",
    configured: (config) => (config.retention === undefined ? null : retentionMs(config.retention)),
    fallback: defaultRetention,
    show: (kept) => (["done", "cancelled", "dead"] as const satisfies (keyof Retention)[]).map((each) => `${each} ${kept[each] === null ? "for ever" : shownDuration(kept[each])}`).join(", "),
  }),
  redrive: setting<readonly RedrivePolicy[]>({
    meaning: "dead letters that are redriven by themselves, by job type: `{ after, atMost?, only?, attempts? }` ([how](../how-to/redrive-dead-letters.md))",
    configured: (config) => (config.redrive === undefined ? null : redrivePolicies(config.redrive)),
    fallback: [],
    show: (policies) => policies.map(({ type, afterMs, atMost }) => `${type} after ${shownDuration(afterMs)}, ${atMost === 1 ? "once" : `${atMost} times at most`}`).join("; "),
  }),
  alerts: setting<Alerts | null>({
    meaning: "thresholds on dead letters, due jobs and stuck ones, and who is told: `{ deadLetters?, oldestDue?, stuck?, repeat?, notify? }` ([how](../how-to/be-told-when-jobs-fail.md))",
    configured: (config) => (config.alerts === undefined ? null : alertsOf(config.alerts, Object.keys(config.webhooks ?? {}))),
    fallback: null,
    show: ({ rules, receivers }) => `${rules.map(({ name, kind, threshold }) => `${name} ${kind === "deadLetters" ? threshold : shownDuration(threshold)}`).join(", ")}; ${receivers.length} to notify`,
  }),
  heartbeatUrl: setting<string | null>({
    meaning: "asked for after each `jobs:drain`, so that a service such as healthchecks.io misses a drain that does not come; with `/fail` behind it when the drain did not work ([how](../how-to/be-told-when-jobs-fail.md))",
    variable: text("JOBS_HEARTBEAT_URL"),
    configured: (config) => textIn("heartbeatUrl", config.heartbeatUrl),
    fallback: null,
    check: checkHeartbeatUrl,
    show: maskedPath,
  }),
  schedules: setting<readonly ScheduleDeclaration[]>({
    meaning: "jobs that recur, each made by `defineSchedule` ([how](../how-to/run-jobs-on-a-schedule.md))",
    configured: (config) => listIn("schedules", config.schedules, "schedules, as defineSchedule makes them", ({ name }) => typeof name === "string"),
    fallback: [],
    show: (schedules) => schedules.map(({ name }) => name).join(", "),
  }),
  channels: setting<NonNullable<OutboxConfig["channels"]>>({
    meaning: "where `notification.send` sends to beside the inbox, by name: Slack, WhatsApp, any URL ([how](../how-to/notify-people.md))",
    configured: (config) => objectIn("channels", config.channels),
    fallback: {},
    show: names,
  }),
  endpoints: setting<NonNullable<OutboxConfig["endpoints"]>>({
    meaning: "what `data.sync` may read and write, by name (below)",
    configured: (config) => objectIn("endpoints", config.endpoints),
    fallback: {},
    show: names,
  }),
  webhooks: setting<NonNullable<OutboxConfig["webhooks"]>>({
    meaning: "the receivers of `webhook.send`, by name: `{ url, secrets, headers?, allowPrivate? }` ([how](../how-to/send-webhooks.md))",
    configured: (config) => objectIn("webhooks", config.webhooks),
    fallback: {},
    show: names,
  }),
  prisma: setting<NonNullable<OutboxConfig["prisma"]> | null>({
    meaning: "makes the app's Prisma client, for handlers that write in its transactions ([how](../how-to/use-your-prisma-client.md))",
    configured: (config) => functionIn("prisma", config.prisma),
    fallback: null,
    show: () => "a function",
  }),
};

/** `token` or `name:token`, with a space between two of them. */
function tokensOf(role: Role, variable: string, may: string) {
  return setting<readonly NamedToken[]>({
    meaning: `who has it ${may}, by \`serve\`: a token of at least 32 characters, as \`token\` or \`name:token\`; two with a space between while it is changed ([how](../how-to/run-by-url.md))`,
    variable: {
      name: variable,
      parse: (given) =>
        checkTokens(
          role,
          given.split(/\s+/).filter((each) => each !== "").map((each) => {
            const end = each.indexOf(":");
            return end > 0 ? { name: each.slice(0, end), token: each.slice(end + 1) } : { token: each };
          }),
        ),
    },
    configured(config) {
      const given = objectIn("http.tokens", objectIn("http", config.http)?.tokens)?.[role];
      return given === undefined ? null : checkTokens(role, given);
    },
    fallback: [],
    show: (tokens) => tokens.map(({ name }) => `${name === undefined ? "" : `${name}:`}${maskedSecret()}`).join(" "),
  });
}

/** As far as its type can be read. */
function isHandler(entry: HandlerEntry): boolean {
  const { type, contract } = entry as { readonly type?: unknown; readonly contract?: { readonly type?: unknown } | null }; // one of the two
  return typeof ("load" in entry ? type : contract?.type) === "string";
}

function checkDatabaseUrl(url: string): void {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: "" };
  if (protocol === "postgres:" || protocol === "postgresql:") return;
  // The value is not shown: it holds a password.
  throw new OutboxError("CONFIGURATION", "Expected DATABASE_URL to be of the form postgresql://user:password@host:port/database, got something else.");
}
