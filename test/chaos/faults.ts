// What goes wrong in a chaos run: each fault of the plan at its time, and lifted again. Next: world.ts.

import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { Proxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";
import type { Seat } from "./crew.ts";
import type { Plan, PlannedFault } from "./plan.ts";
import type { Server } from "./server.ts";

export interface Scene {
  readonly pool: pg.Pool;
  readonly server: Server;
  readonly seats: readonly Seat[];
  /** By the name of who goes through it; "enqueuers" have one too. */
  readonly proxies: ReadonlyMap<string, Proxy>;
}

/** A fault that found its target, from when to when. */
export interface Hit {
  readonly fault: PlannedFault;
  readonly from: Date;
  readonly to: Date;
}

const backMs = 30_000;

/**
 * Comes back when the last fault is lifted, with those that found their target: a process that has just ended cannot be
 * hit. After `giveUp` no more of them begin.
 */
export async function inflict(plan: Plan, scene: Scene, startedAt: number, giveUp: AbortSignal): Promise<Hit[]> {
  const holds = new Map<Proxy, number>();
  let crashing: Promise<unknown> = Promise.resolve();
  const hits = await Promise.all(
    plan.faults.map(async (fault): Promise<Hit[]> => {
      await sleep(Math.max(0, startedAt + fault.atMs - performance.now()), undefined, { signal: giveUp }).catch(() => undefined); // given up: seen below
      if (giveUp.aborted) return [];
      const from = new Date();
      const hit = await strike(fault);
      return hit ? [{ fault, from, to: new Date() }] : [];
    }),
  );
  return hits.flat();

  async function strike({ kind, target, forMs }: PlannedFault): Promise<boolean> {
    switch (kind) {
      case "kill":
        return (await seatOf(target).send("SIGKILL")) !== null;
      case "terminate":
        return (await seatOf(target).send("SIGTERM")) !== null;
      case "stop": {
        const stopped = await seatOf(target).send("SIGSTOP");
        await sleep(stopped === null ? 0 : forMs);
        stopped?.kill("SIGCONT");
        return stopped !== null;
      }
      case "backends":
        return terminateBackends(scene.pool);
      case "restart":
        // One after the other: a server that is down cannot crash.
        await (crashing = crashing.then(() => crash(scene, forMs)));
        return true;
      case "cut":
      case "black hole":
        await onTheWay(target === "everybody" ? [...scene.proxies.values()] : [proxyOf(target)], kind, forMs);
        return true;
    }
  }

  async function onTheWay(proxies: readonly Proxy[], kind: "cut" | "black hole", forMs: number): Promise<void> {
    for (const proxied of proxies) {
      holds.set(proxied, (holds.get(proxied) ?? 0) + 1);
      if (kind === "cut") proxied.cut();
      else proxied.blackHole();
    }
    await sleep(forMs);
    for (const proxied of proxies) {
      const left = (holds.get(proxied) ?? 1) - 1;
      holds.set(proxied, left);
      if (left === 0) proxied.resume(); // otherwise another fault goes on
    }
  }

  function seatOf(name: string | null): Seat {
    const found = scene.seats.find(({ planned }) => planned.name === name);
    if (found === undefined) throw new Error(`the plan hits ${name ?? "nobody"}, who is not in it`);
    return found;
  }

  function proxyOf(name: string | null): Proxy {
    const found = scene.proxies.get(name ?? "");
    if (found === undefined) throw new Error(`the plan cuts off ${name ?? "nobody"}, who has no proxy`);
    return found;
  }
}

/** False: the server is down at this moment. */
async function terminateBackends(pool: pg.Pool): Promise<boolean> {
  return pool.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name in ('postcommit', 'enqueuer', 'effects')").then(
    () => true,
    () => false,
  );
}

/** The tables are told, for what a crash may take with it. */
async function crash({ server, pool }: Scene, downMs: number): Promise<void> {
  const { began, ended } = await server.crash(downMs);
  await until("the server has been told of its crash", () => pool.query("insert into crashes (began, ended) values ($1, $2)", [began, ended]).then(() => true, () => false), backMs);
}
