// What the program is told, by the environment, .env and outbox.config.ts, as one object of settings. The only reader of
// process.env. To add a setting: its key in OutboxConfig, its row in settings-table.ts, its value in Settings.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Channel } from "../handlers/notification/channels.ts";
import type { PaymentSettings } from "../handlers/payment/provider.ts";
import type { Endpoint } from "../handlers/sync/endpoints.ts";
import type { WebhookEndpoint } from "../handlers/webhook/endpoints.ts";
import type { NamedToken, Role, Tokens } from "../http/tokens.ts";
import type { Alerts } from "../outbox/alerts.ts";
import { OutboxError } from "../outbox/errors.ts";
import { failureOf } from "../outbox/failure.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import type { Redrive, RedrivePolicy } from "../outbox/redrive-policy.ts";
import type { Retention, RetentionMs } from "../outbox/retention.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import type { AlertsConfig } from "./alerts.ts";
import { loadConfigFile } from "./config-file.ts";
import { handlersIn } from "./handlers-folder.ts";
import type { PrismaClientLike } from "./prisma-transactions.ts";
import type { Given } from "./setting.ts";
import type { LogLevel } from "./settings-table.ts";
import { settingsTable } from "./settings-table.ts";

/** What outbox.config.ts may say. Everything is optional; an environment variable beats its entry here. */
export interface OutboxConfig {
  /** The Postgres to use; DATABASE_URL. Without one, outside production, an embedded Postgres is started. */
  readonly connection?: string;
  /**
   * Makes the app's Prisma client. Handlers are then given transactions of it by ctx.complete and ctx.checkpoint (see
   * `Register`). Called when a handler first writes, and closed by the program: `() => new PrismaClient({ adapter })`.
   */
  readonly prisma?: () => PrismaClientLike | Promise<PrismaClientLike>;
  /**
   * The app's own handlers, beside the built-in ones: an array of them, or the path of a folder of them, such as
   * "./handlers", from this file. Which of its files are loaded when, says handlers-folder.ts.
   */
  readonly handlers?: readonly HandlerEntry[] | string;
  /** Jobs that recur, each made by `defineSchedule`. */
  readonly schedules?: readonly ScheduleDeclaration[];
  /** Where notification.send may send to beside the inbox, by name. */
  readonly channels?: Readonly<Record<string, Channel>>;
  /** Where data.sync may read and write, by name. */
  readonly endpoints?: Readonly<Record<string, Endpoint>>;
  /** Whom webhook.send may tell of events, by name. */
  readonly webhooks?: Readonly<Record<string, WebhookEndpoint>>;
  /** WEBHOOK_SECRET: what webhooks to a `url` are signed with; two, separated by a space, while receivers change over. */
  readonly webhookSecret?: string;
  /** WEBHOOK_ALLOW_PRIVATE: lets a `url` lead into a private network or to this machine. Default: false. */
  readonly webhookAllowPrivate?: boolean;
  /** PAYMENT_API_URL and PAYMENT_API_KEY. Without a key the payment jobs wait, and are reported. */
  readonly payments?: { readonly url?: string; readonly key?: string; readonly allowPrivate?: boolean };
  /** SMTP_URL and MAIL_FROM. */
  readonly smtp?: { readonly url?: string; readonly from?: string };
  /** Where files go; DATA_DIR. Default: var. */
  readonly dataDir?: string;
  /** A TTF or OTF font for PDFs in place of DejaVu Sans; PDF_FONT. */
  readonly pdfFont?: string;
  /** How long finished jobs are kept, counted from when they finished; `false` keeps them for ever. */
  readonly retention?: Retention;
  /** Dead letters that are redriven by themselves, by job type: `{ "webhook.send": { after: "1h", atMost: 3 } }`. */
  readonly redrive?: Redrive;
  /** Thresholds, and who is told when one is reached: `{ deadLetters: 10, oldestDue: "15m", notify: [{ email: "ops@example.com" }] }`. */
  readonly alerts?: AlertsConfig;
  /** JOBS_HEARTBEAT_URL: asked for after each drain, with /fail behind it when the drain did not work. */
  readonly heartbeatUrl?: string;
  /** HTTP_TOKENS_VIEW, HTTP_TOKENS_OPERATE and HTTP_TOKENS_RUN: who may do what by `serve`. Without any, only /health answers. */
  readonly http?: { readonly tokens?: Tokens };
}

/** Gives outbox.config.ts its types. */
export function defineConfig(config: OutboxConfig): OutboxConfig {
  return config;
}

export interface Settings {
  /** Null: the embedded Postgres. */
  readonly databaseUrl: string | null;
  readonly prisma: NonNullable<OutboxConfig["prisma"]> | null;
  readonly production: boolean;
  readonly smtpUrl: string | null;
  readonly mailFrom: string;
  /** Absolute, as are the others. */
  readonly mailDir: string;
  readonly documentsDir: string;
  readonly embeddedDir: string;
  readonly pdfFont: string | null;
  readonly channels: Readonly<Record<string, Channel>>;
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  readonly webhooks: Readonly<Record<string, WebhookEndpoint>>;
  readonly webhookSecrets: readonly string[];
  readonly webhookAllowPrivate: boolean;
  /** Null: there is no key. */
  readonly payments: PaymentSettings | null;
  readonly handlers: readonly HandlerEntry[];
  readonly schedules: readonly ScheduleDeclaration[];
  readonly retention: RetentionMs;
  readonly redrive: readonly RedrivePolicy[];
  /** Null: none are configured. */
  readonly alerts: Alerts | null;
  readonly heartbeatUrl: string | null;
  readonly apiUrl: string;
  readonly httpTokens: Readonly<Record<Role, readonly NamedToken[]>>;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "text" | null;
}

export type { LogLevel };

/** Reads .env and outbox.config.ts from `root`, the folder of the program. */
export async function loadSettings(root: string): Promise<Settings> {
  const read = await readSettings(root);
  const problem = Object.values(read).find((reading) => reading.problem !== null)?.problem;
  if (problem) throw problem;
  const data = resolve(root, read.dataDir.value);
  const { value: key } = read["payments.key"];
  const { value: handlers } = read.handlers;
  return {
    databaseUrl: read.connection.value,
    prisma: read.prisma.value,
    production: read.production.value,
    smtpUrl: read["smtp.url"].value,
    mailFrom: read["smtp.from"].value,
    mailDir: join(data, "mail"),
    documentsDir: join(data, "documents"),
    embeddedDir: join(data, "postgres"),
    pdfFont: read.pdfFont.value,
    channels: read.channels.value,
    endpoints: read.endpoints.value,
    webhooks: read.webhooks.value,
    webhookSecrets: (read.webhookSecret.value ?? "").split(/\s+/).filter((secret) => secret !== ""),
    webhookAllowPrivate: read.webhookAllowPrivate.value,
    payments: key === null ? null : { url: read["payments.url"].value, key, allowPrivate: read["payments.allowPrivate"].value },
    handlers: typeof handlers === "string" ? await handlersIn(resolve(root, handlers)) : (handlers ?? []),
    schedules: read.schedules.value,
    retention: read.retention.value,
    redrive: read.redrive.value,
    alerts: read.alerts.value,
    heartbeatUrl: read.heartbeatUrl.value,
    apiUrl: read.apiUrl.value,
    httpTokens: { view: read["http.tokens.view"].value, operate: read["http.tokens.operate"].value, run: read["http.tokens.run"].value },
    logLevel: read.logLevel.value,
    logFormat: read.logFormat.value,
  };
}

export type SettingName = keyof typeof settingsTable;
export type Readings = { readonly [Name in SettingName]: ReturnType<(typeof settingsTable)[Name]["read"]> };

/** Every setting with its source; one that will not do has its problem beside it, and throws nothing. */
export async function readSettings(root: string): Promise<Readings> {
  loadEnvFile(root);
  const given: Given = { variable: environmentVariable, file: await loadConfigFile(root) };
  return Object.fromEntries(Object.entries(settingsTable).map(([name, setting]) => [name, setting.read(given)])) as Readings; // each name with its own reading
}

/** What .env has set in this process. */
const fromEnvFile = new Map<string, string>();

/** Puts what .env in `root` says into the environment; what is there already stays as it is. */
export function loadEnvFile(root: string): void {
  const file = join(root, ".env");
  if (!existsSync(file)) return;
  const before = new Set(Object.keys(process.env));
  try {
    process.loadEnvFile(file);
  } catch (cause) {
    throw new OutboxError("CONFIGURATION", `Expected ${file} to be a file of lines such as DATABASE_URL=postgresql://…, but it cannot be read: ${failureOf(cause).message}.`, { cause });
  }
  for (const [name, value = ""] of Object.entries(process.env)) if (!before.has(name)) fromEnvFile.set(name, value);
}

/** A variable, and whether .env has set it. Null: it is not set; or empty, which is the same. */
export function environmentVariable(name: string): { text: string; source: "environment" | ".env" } | null {
  const value = process.env[name] ?? "";
  return value === "" ? null : { text: value, source: fromEnvFile.get(name) === value ? ".env" : "environment" };
}

/** Makes commander, which reads the environment by itself, take the variable for one that is not set. */
export function dropVariable(name: string): void {
  Reflect.deleteProperty(process.env, name);
}

/** The environment of a program of Postgres: ours, with none of its variables but these. */
export function environmentWith(postgres: Readonly<Record<`PG${string}`, string>>): NodeJS.ProcessEnv {
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PG"))), ...postgres };
}

/** The flags that npm took for its own: they reach a script as npm_config_* only. */
export function npmFlags(): { script: string | null; config: Readonly<Record<string, string>> } {
  const config = Object.entries(process.env).flatMap(([name, value]) => (name.startsWith("npm_config_") && value !== undefined ? [[name.slice("npm_config_".length), value]] : []));
  // Where it has been told its own configuration is, npm does not tell again.
  const told = { userconfig: process.env.NPM_CONFIG_USERCONFIG, globalconfig: process.env.NPM_CONFIG_GLOBALCONFIG };
  const files = Object.entries(told).filter(([, file]) => file !== undefined);
  return { script: process.env.npm_lifecycle_event ?? null, config: Object.fromEntries([...files, ...config]) as Record<string, string> };
}

/** NO_COLOR (https://no-color.org), a terminal that has none, and who is asking, for the ledger of actions. */
export function invoker(): { noColor: boolean; user: string } {
  return { noColor: (process.env.NO_COLOR ?? "") !== "" || process.env.TERM === "dumb", user: process.env.SUDO_USER ?? process.env.USER ?? process.env.LOGNAME ?? "unknown" };
}
