// The workers: do they live, and do they know the same?

import { listWorkers } from "../../outbox/inspect-workers.ts";
import { version } from "../version.ts";
import { visible } from "../visible.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, spoken, warning } from "./look.ts";

export const silentWorkers: Check = {
  name: "workers",
  needsTables: true,
  async run({ sql }) {
    const workers = await listWorkers(sql);
    const silent = workers.filter(({ alive }) => !alive);
    if (silent.length === 0) return [ok(workers.length === 0 ? "none at this moment; drains come and go." : `${workers.length} alive, ${workers.reduce((sum, { running }) => sum + running, 0)} jobs running.`)];
    return silent.map(({ host, pid, silentMs, leaseMs, running }) =>
      warning(
        `the worker on ${visible(host)} (process ${pid}) has been silent for ${spoken(silentMs)}, its lease is ${spoken(leaseMs)}: it died, or its event loop is blocked. ${running === 0 ? "It had no job." : `It had ${running} running; the next drain or worker returns them.`}`,
        "npm run app:cli jobs:drain",
      ),
    );
  },
};

/** A deployment takes a while. */
const deployMs = 3_600_000;

export const workerVersions: Check = {
  name: "worker versions",
  needsTables: true,
  async run({ sql }) {
    const workers = (await listWorkers(sql)).filter(({ alive }) => alive);
    const versions = [...new Set(workers.map((worker) => worker.version))].sort();
    const [clock] = await sql.query("select clock_timestamp() as now");
    const now = clock?.now as Date; // timestamptz
    const seen: Seen[] = [];
    if (versions.length > 1) {
      const old = workers.every(({ startedAt }) => now.getTime() - startedAt.getTime() > deployMs);
      seen.push((old ? warning : notice)(`living workers are of versions ${versions.map(visible).join(" and ")}${old ? ", all for over an hour" : ": a deployment, it seems"}.`, old ? "npm run app:cli workers   # shows which; restart the older ones" : null));
    }
    const known = new Map<string, Set<number>>();
    for (const { types, versions: newest } of workers) {
      types.forEach((type, index) => newest[index] != null && known.set(type, (known.get(type) ?? new Set()).add(newest[index])));
    }
    for (const [type, numbers] of known) {
      if (numbers.size < 2) continue;
      const sorted = [...numbers].sort((a, b) => a - b).join(" and ");
      seen.push(notice(`living workers know versions ${sorted} of ${visible(type)}: jobs of the newer one wait for those who know it.`));
    }
    if (seen.length > 0) return seen;
    return [ok(versions.length === 0 ? `this program is ${version}; no worker is alive at this moment.` : `${versions.map(visible).join()}, all of them; this program is ${version}.`)];
  },
};
