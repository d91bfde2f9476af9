// How far this machine's clock is from the database's. Nothing of the engine depends on it: it uses the database's
// alone. But log lines, certificates, and `runAt` made of `new Date()` by the app do.

import type { Sql } from "../../outbox/database.ts";
import type { Check } from "./doctor.ts";
import { ok, warning } from "./look.ts";

const roundTrips = 5;
const tolerableMs = 1000;

export const clock: Check = {
  name: "clock",
  needsTables: false,
  async run({ sql }) {
    const { offsetMs, uncertainMs } = await clockOffset(sql);
    const said = `this machine is ${Math.abs(Math.round(offsetMs))} ms ${offsetMs < 0 ? "ahead of" : "behind"} the database, give or take ${Math.ceil(uncertainMs)} ms`;
    if (Math.abs(offsetMs) - uncertainMs <= tolerableMs) return [ok(`${said}.`)];
    return [warning(`${said}. The engine uses the database's clock alone; a runAt that the app makes by this machine's is off by as much.`, "timedatectl set-ntp true   # or mend NTP on whichever of the two is wrong")];
  },
};

/** The database's clock less `now`, by the round trip that took the shortest; half of it is what nobody can know. */
export async function clockOffset(sql: Sql, now: () => number = Date.now): Promise<{ offsetMs: number; uncertainMs: number }> {
  let best = { offsetMs: 0, uncertainMs: Number.POSITIVE_INFINITY };
  for (let trip = 0; trip < roundTrips; trip += 1) {
    const before = now();
    const [row] = await sql.query("select extract(epoch from clock_timestamp())::float8 * 1000 as at");
    const after = now();
    const uncertainMs = (after - before) / 2;
    if (uncertainMs < best.uncertainMs) best = { offsetMs: Number(row?.at) - (before + after) / 2, uncertainMs };
  }
  return best;
}
