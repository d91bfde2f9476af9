// Enqueues SOAK_RATE jobs a second over 16 connections, each with its order in a transaction of its own, at moments that do
// not depend on how fast the database answers. Ends on SIGTERM, with a line of JSON about what it has committed.

import { randomUUID } from "node:crypto";
import pg from "pg";
import { createOutbox } from "../../../dist/index.js";
import { now, soaked } from "./job.js";

const connection = process.env.DATABASE_URL;
const perSecond = Number(process.env.SOAK_RATE);
const outbox = createOutbox({ connection });
const pool = new pg.Pool({ connectionString: connection, max: 16 });
const seen = { committed: 0, failed: 0, behind: 0 };
let open = 0;
let stopped = false;
process.once("SIGTERM", () => (stopped = true));

async function order() {
  open += 1;
  try {
    const client = await pool.connect();
    try {
      await client.query("begin");
      await client.query("insert into orders (id) values ($1)", [randomUUID()]);
      await outbox.enqueue(client, soaked, { at: now() });
      await client.query("commit");
      seen.committed += 1;
    } finally {
      client.release();
    }
  } catch (error) {
    seen.failed += 1;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  } finally {
    open -= 1;
  }
}

const startedAt = performance.now();
for (let begun = 0; !stopped; ) {
  const owed = Math.floor(((performance.now() - startedAt) / 1000) * perSecond) - begun;
  // A database that is away must not be met by a flood afterwards: what it cannot take is counted, not kept.
  const may = Math.min(owed, 400 - open);
  for (let nth = 0; nth < may; nth += 1) void order();
  seen.behind += owed - may;
  begun += owed;
  await new Promise((resolve) => setTimeout(resolve, 5));
}
while (open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
await pool.end();
await outbox.close();
process.stdout.write(`${JSON.stringify(seen)}\n`);
