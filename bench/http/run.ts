// The HTTP side under load: `serve` in one process, 64 connections of autocannon in this one, a Postgres of their own.
//   node --conditions postcommit-source --import tsx bench/http/run.ts [seconds]
// POST /api/jobs, then GET /api/jobs/{id}; then every answer is held against the table.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import autocannon from "autocannon";
import pg from "pg";
import { migrate, migrationsDir, root } from "../internals.ts";
import type { Server } from "../server.ts";
import { openServer, removeServers } from "../server.ts";

const seconds = Number(process.argv[2] ?? 30);
const connections = 64;
const token = "bench-token-0123456789abcdef0123456789";

interface Saw {
  readonly commits: number;
  readonly cpuMs: number | null;
}

async function main(): Promise<void> {
  const server = await openServer("postgres");
  try {
    const url = await server.createDatabase("http");
    await migrate(url, migrationsDir);
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    const serving = spawn(process.execPath, ["--import", "tsx", join(root, "cli.ts"), "serve", "--port", "0"], {
      env: { ...process.env, DATABASE_URL: url, HTTP_TOKENS_OPERATE: token, LOG_LEVEL: "error", PORT: "" },
      stdio: ["ignore", "inherit", "pipe"],
    });
    const base = await new Promise<string>((resolve, reject) => {
      let said = "";
      serving.stderr.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        const found = /http:\/\/127\.0\.0\.1:\d+(?=\. Stop)/.exec(said)?.[0];
        if (found !== undefined) resolve(found);
      });
      serving.on("exit", () => reject(new Error(`serve has ended:\n${said}`)));
    });
    try {
      await load(`${base}/api/jobs`, { seconds: 2, ids: [] }); // warm
      await pool.query("truncate outbox cascade");
      const ids: string[] = [];
      await report("POST /api/jobs", server, pool, () => load(`${base}/api/jobs`, { seconds, ids }));
      await check(pool, ids);
      await report("GET /api/jobs/{id}", server, pool, () => load(base, { seconds, ids, reading: true }));
    } finally {
      serving.removeAllListeners("exit");
      serving.kill("SIGTERM");
      await new Promise((resolve) => serving.once("exit", resolve));
      await pool.end();
    }
  } finally {
    await server.close();
    await removeServers();
  }
}

async function load(url: string, { seconds: duration, ids, reading = false }: { seconds: number; ids: string[]; reading?: boolean }): Promise<autocannon.Result> {
  let at = 0;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const post: autocannon.Request = {
    method: "POST",
    headers,
    body: JSON.stringify({ type: "audit.log", payload: { event: "bench", data: { text: "x".repeat(200) } } }),
    onResponse: (status, body) => {
      if (status === 201) ids.push((JSON.parse(body) as { id: string }).id);
    },
  };
  const get: autocannon.Request = {
    method: "GET",
    headers,
    setupRequest: (request) => ({ ...request, path: `/api/jobs/${ids[(at += 1) % ids.length] ?? ""}` }),
  };
  return autocannon({ url, connections, duration, requests: [reading ? get : post] });
}

async function report(name: string, server: Server, pool: pg.Pool, run: () => Promise<autocannon.Result>): Promise<void> {
  const before = await saw(server, pool);
  const { requests, latency, errors, timeouts, non2xx } = await run();
  await sleep(1500); // for Postgres to count what it did
  const after = await saw(server, pool);
  const cpu = after.cpuMs === null || before.cpuMs === null ? "unknown" : `${((after.cpuMs - before.cpuMs) / requests.total).toFixed(2)} ms`;
  console.log(
    `${name}: ${requests.total} in ${seconds} s, ${Math.round(requests.average)}/s; latency p50 ${latency.p50} ms, p99 ${latency.p99} ms, max ${latency.max} ms; ` +
      `${errors} errors, ${timeouts} time-outs, ${non2xx} not 2xx; Postgres: ${((after.commits - before.commits) / requests.total).toFixed(2)} commits and ${cpu} of CPU for each`,
  );
}

async function saw(server: Server, pool: pg.Pool): Promise<Saw> {
  const { rows } = await pool.query<{ commits: string }>("select xact_commit as commits from pg_stat_database where datname = current_database()");
  return { commits: Number(rows[0]?.commits), cpuMs: await server.cpuMs() };
}

/** Each answer is a row; and a row without an answer was in flight when the time was over. */
async function check(pool: pg.Pool, ids: readonly string[]): Promise<void> {
  const { rows } = await pool.query<{ id: string }>("select id from outbox");
  const stored = new Set(rows.map(({ id }) => id));
  const lost = ids.filter((id) => !stored.has(id)).length;
  const extra = stored.size - new Set(ids).size;
  console.log(`${ids.length} answers, ${new Set(ids).size} ids, ${stored.size} rows: ${lost} lost, ${extra} in flight at the end (at most ${connections})`);
  if (lost > 0 || extra > connections || new Set(ids).size !== ids.length) process.exitCode = 1;
}

await main();
