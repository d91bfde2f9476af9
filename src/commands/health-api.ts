// health:api: asks a running `serve` whether it is alive and ready. Exits 0 or 4.

import type { Command } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import { failureOf } from "../outbox/failure.ts";
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./context.ts";
import { printValue, write } from "./output.ts";
import { visible } from "../service/visible.ts";

const timeoutMs = 5000;

interface Answer {
  readonly healthy: boolean;
  readonly url: string;
  /** Null: nobody answered. */
  readonly status: number | null;
  readonly detail: string;
}

export function healthApi(program: Command, context: CommandContext): void {
  program
    .command("health:api")
    .description("say whether the HTTP server is alive and ready")
    .option("--url <url>", "where it listens (API_URL)")
    .option("--json", "print one JSON document")
    .addHelpText("before", "Examples:\n  npm run app:cli health:api\n  npm run -s app:cli -- health:api --url http://127.0.0.1:3000\n  API_URL=https://jobs.example.com npm run app:cli health:api\n")
    .addHelpText("after", "\nExit codes: 0 healthy, 4 not. Start a server with `npm run app:cli serve`.")
    .action(async ({ url, json = false }: { url?: string; json?: boolean }) => {
      const answer = await ask(readyUrl(url ?? (await context.settings()).apiUrl));
      if (json) await printValue(context.io, answer, { json: true, ndjson: false });
      else await write(context.io.stdout, `${answer.url}: ${answer.healthy ? "healthy" : "not healthy"}, ${visible(answer.detail)}\n`);
      context.exitWith(answer.healthy ? exitCodes.ok : exitCodes.checkFailed);
    });
}

function readyUrl(base: string): string {
  const url = URL.canParse(base) ? new URL(base) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new OutboxError("USAGE", `Expected the API's URL to be of the form http://host:port, got ${JSON.stringify(base)}.`);
  }
  return `${url.origin}${url.pathname.replace(/\/$/, "")}/health/ready`;
}

async function ask(url: string): Promise<Answer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: "error" });
    const text = (await response.text()).slice(0, 500).trim();
    return { healthy: response.ok, url, status: response.status, detail: `answered ${response.status} ${text}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { healthy: false, url, status: null, detail: `nobody answered within ${timeoutMs / 1000} s: ${failureOf(cause).message}. Is \`npm run app:cli serve\` running?` };
  }
}
