// Every setting, from where it comes: environment (and .env), then outbox.config.ts, then the default. The only reader
// of process.env.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Channel } from "../handlers/notification/channels.ts";
import type { PaymentSettings } from "../handlers/payment/provider.ts";
import type { Endpoint } from "../handlers/sync/endpoints.ts";
import type { WebhookEndpoint } from "../handlers/webhook/endpoints.ts";
import { OutboxError } from "../outbox/errors.ts";
import type { HandlerEntry } from "../outbox/registry.ts";
import type { Retention, RetentionMs } from "../outbox/retention.ts";
import { retentionMs } from "../outbox/retention.ts";
import type { ScheduleDeclaration } from "../outbox/schedule.ts";
import { handlersIn } from "./handlers-folder.ts";
import type { PrismaClientLike } from "./prisma-transactions.ts";

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
  readonly apiUrl: string;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "text" | null;
}

const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Reads .env and outbox.config.ts from `root`, the folder of the program. */
export async function loadSettings(root: string): Promise<Settings> {
  const file = join(root, ".env");
  if (existsSync(file)) process.loadEnvFile(file); // what the environment has already is left as it is
  const config = await loadConfig(root);
  const env = process.env;
  const data = resolve(root, env.DATA_DIR ?? config.dataDir ?? "var");
  const settings: Settings = {
    databaseUrl: env.DATABASE_URL || config.connection || null,
    prisma: config.prisma ?? null,
    production: env.NODE_ENV === "production",
    smtpUrl: env.SMTP_URL || config.smtp?.url || null,
    mailFrom: env.MAIL_FROM ?? config.smtp?.from ?? "postcommit <no-reply@localhost.localdomain>",
    mailDir: join(data, "mail"),
    documentsDir: join(data, "documents"),
    embeddedDir: join(data, "postgres"),
    pdfFont: env.PDF_FONT ?? config.pdfFont ?? null,
    channels: config.channels ?? {},
    endpoints: config.endpoints ?? {},
    webhooks: config.webhooks ?? {},
    webhookSecrets: (env.WEBHOOK_SECRET || config.webhookSecret || "").split(/\s+/).filter((secret) => secret !== ""),
    webhookAllowPrivate: flag("WEBHOOK_ALLOW_PRIVATE", env.WEBHOOK_ALLOW_PRIVATE) ?? config.webhookAllowPrivate ?? false,
    payments: paymentSettings(env.PAYMENT_API_URL || config.payments?.url, env.PAYMENT_API_KEY || config.payments?.key, config.payments?.allowPrivate),
    handlers: typeof config.handlers === "string" ? await handlersIn(resolve(root, config.handlers)) : (config.handlers ?? []),
    schedules: config.schedules ?? [],
    retention: retentionMs(config.retention),
    apiUrl: env.API_URL ?? "http://127.0.0.1:3000",
    logLevel: oneOf("LOG_LEVEL", env.LOG_LEVEL, logLevels) ?? "info",
    logFormat: oneOf("LOG_FORMAT", env.LOG_FORMAT, ["json", "text"] as const) ?? null,
  };
  if (settings.databaseUrl !== null) checkDatabaseUrl(settings.databaseUrl);
  return settings;
}

/** The flags that npm took for its own: they reach a script as npm_config_* only. */
export function npmFlags(): { script: string | null; config: Readonly<Record<string, string>> } {
  const config = Object.entries(process.env).flatMap(([name, value]) => (name.startsWith("npm_config_") && value !== undefined ? [[name.slice("npm_config_".length), value]] : []));
  return { script: process.env.npm_lifecycle_event ?? null, config: Object.fromEntries(config) as Record<string, string> };
}

/** NO_COLOR (https://no-color.org) and who is asking, for the ledger of actions. */
export function invoker(): { noColor: boolean; user: string } {
  return { noColor: (process.env.NO_COLOR ?? "") !== "", user: process.env.SUDO_USER ?? process.env.USER ?? process.env.LOGNAME ?? "unknown" };
}

async function loadConfig(root: string): Promise<OutboxConfig> {
  const file = join(root, "outbox.config.ts");
  if (!existsSync(file)) return {};
  const loaded = (await import(pathToFileURL(file).href)) as { default?: unknown };
  if (typeof loaded.default === "object" && loaded.default !== null) return loaded.default;
  throw new OutboxError("CONFIGURATION", `Expected outbox.config.ts to have "export default defineConfig({ … })", got ${typeof loaded.default}.`);
}

function paymentSettings(url = "https://api.stripe.com", key: string | undefined, allowPrivate = false): PaymentSettings | null {
  return key === undefined || key === "" ? null : { url, key, allowPrivate };
}

function checkDatabaseUrl(url: string): void {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: "" };
  if (protocol === "postgres:" || protocol === "postgresql:") return;
  // The value is not shown: it holds a password.
  throw new OutboxError("CONFIGURATION", "Expected DATABASE_URL to be of the form postgresql://user:password@host:port/database, got something else.");
}

function flag(name: string, value: string | undefined): boolean | undefined {
  const given = oneOf(name, value, ["true", "false"] as const);
  return given === undefined ? undefined : given === "true";
}

function oneOf<Value extends string>(name: string, value: string | undefined, known: readonly Value[]): Value | undefined {
  if (value === undefined || value === "") return undefined;
  const found = known.find((each) => each === value);
  if (found !== undefined) return found;
  throw new OutboxError("CONFIGURATION", `Expected ${name} to be one of ${known.join(", ")}, got ${JSON.stringify(value)}.`);
}
