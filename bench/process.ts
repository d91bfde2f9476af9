// A process that is measured, as the driver holds it. Every question has a time limit, and no process outlives the driver.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Answer, Question } from "./channel.ts";

export interface Remote<Operations> {
  readonly pid: number;
  ask<Name extends keyof Operations & string>(operation: Name, argument: ArgumentOf<Operations[Name]>, timeoutMs: number): Promise<AnswerOf<Operations[Name]>>;
  close(): Promise<void>;
}

type ArgumentOf<Operation> = Operation extends (argument: infer Argument) => unknown ? Argument : never;
type AnswerOf<Operation> = Operation extends (...args: never[]) => Promise<infer Value> ? Value : never;

const startTimeoutMs = 30_000;
const closeTimeoutMs = 15_000;
const alive = new Set<ChildProcess>();

export function killAll(): void {
  for (const child of alive) child.kill("SIGKILL");
}

export async function startProcess<Operations>(script: string, args: readonly string[]): Promise<Remote<Operations>> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe", "ipc"], env: { ...process.env, NODE_ENV: "production" } });
  alive.add(child);
  const said: string[] = [];
  const listen = (chunk: Buffer) => void said.splice(0, Math.max(0, said.push(chunk.toString()) - 20));
  child.stdout?.on("data", listen);
  child.stderr?.on("data", listen);
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const ended = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      alive.delete(child);
      const error = new Error(`The process of ${args[0] ?? script} ended (${signal ?? code}).\n${said.join("").trim()}`);
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
      resolve();
    });
  });
  child.on("message", (message) => {
    const { id, value, error } = message as Answer; // channel.ts sends nothing else
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new Error(error));
  });

  function answerTo(id: number, what: string, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL"); // whatever it is doing would disturb what is measured next
        waiting.delete(id);
        reject(new Error(`${args[0] ?? script}: "${what}" took longer than ${Math.round(timeoutMs / 1000)} s.\n${said.join("").trim()}`));
      }, timeoutMs);
      const settle =
        <Value>(done: (value: Value) => void) =>
        (value: Value) => {
          clearTimeout(timer);
          done(value);
        };
      waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
    });
  }

  let lastId = 0;
  const ask = (operation: string, argument: unknown, timeoutMs: number) => {
    if (!alive.has(child)) return Promise.reject(new Error(`The process of ${args[0] ?? script} has ended.\n${said.join("").trim()}`));
    const answer = answerTo(++lastId, operation, timeoutMs);
    child.send({ id: lastId, operation, argument } satisfies Question);
    return answer;
  };

  await answerTo(0, "start", startTimeoutMs);
  return {
    pid: child.pid ?? -1,
    // The types of question and answer are those of Operations, on both sides.
    ask: ask as Remote<Operations>["ask"],
    async close() {
      await ask("close", {}, closeTimeoutMs).catch(() => child.kill("SIGKILL"));
      const timer = setTimeout(() => child.kill("SIGKILL"), closeTimeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
