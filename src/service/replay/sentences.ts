// A dry run's report as a person reads it.

import { visible, visibleJson } from "../visible.ts";
import type { ReplayReport } from "./report.ts";

/** Lines without a newline at their end; nothing in them can move a cursor. */
export function linesOf(report: ReplayReport): string[] {
  const { requests, mails, files, writes, enqueued, effects, checkpoints, progress, logs, refused, notes } = report;
  const last = progress.at(-1);
  return [
    verdict(report),
    ...(report.failure === null ? [] : [`  ${visible(report.failure.errorClass)}: ${visible(report.failure.message)}`, ...frames(report.failure.stack)]),
    ...requests.flatMap(({ method, url, headers, bodyBytes, body, answered }) => [
      `would send     ${visible(method)} ${visible(url)}, ${bytes(bodyBytes)} (answered ${answered}, made up)`,
      ...headers.map((header) => `                 ${visible(header)}`),
      ...(body === null || body === "" ? [] : [`                 ${visible(body)}`]),
    ]),
    ...mails.map(({ recipients, subject, attachments, bytes: size }) => `would send     a mail to ${counted(recipients, "recipient")}, subject ${visibleJson(subject)}, ${counted(attachments, "attachment")}, ${bytes(size)}`),
    ...files.map(({ name, bytes: size, pages, replaces }) => `would write    ${visible(name)}, ${bytes(size)}${pages === null ? "" : `, ${counted(pages, "page")}`}${replaces ? ", in place of the one that is there" : ""}`),
    ...writes.map(({ table, inserted, updated, deleted }) => `would change   ${visible(table)}: ${[`${inserted} inserted`, `${updated} updated`, `${deleted} deleted`].filter((part) => !part.startsWith("0 ")).join(", ")}`),
    ...enqueued.map(({ type, count, channels }) => `would enqueue  ${count} ${visible(type)}${channels.length === 0 ? "" : `, to ${channels.map(visible).join(", ")}`}`),
    ...effects.map(({ name, outcome }) => `effect         ${visible(name)}: ${outcome}`),
    ...(checkpoints.length === 0 ? [] : [`would save     ${counted(checkpoints.length, "checkpoint")}, the last of ${bytes(checkpoints.at(-1)?.bytes ?? 0)}`]),
    ...(last === undefined ? [] : [`would say      ${last.percent} %${last.note === null ? "" : `: ${visible(last.note)}`}`]),
    ...logs.map(({ level, message, fields }) => `would log      ${level}: ${visible(message)}${Object.keys(fields).length === 0 ? "" : ` ${visibleJson(fields)}`}`),
    ...(report.outcome === "done" && report.result !== null ? [`result         ${visibleJson(report.result)}`] : []),
    ...(report.readers === 0 ? [] : [`read           from the outbox's database, by ${counted(report.readers, "connection")} of the handler's own`]),
    ...refused.map(({ what, target }) => `refused        ${refusalOf[what]} ${visible(target)}`),
    ...(report.outcome === "done" && refused.length > 0 ? ["note           It went on without what was refused; a real attempt may come to something else."] : []),
    ...notes.map((note) => `note           ${visible(note)}`),
  ];
}

const refusalOf = { connection: "a connection to", process: "the process", datagram: "a datagram to", thread: "a thread of", exit: "the end of the process, by" } as const;

function verdict({ job, outcome, delayMs, durationMs, completed, timedOut }: ReplayReport): string {
  const attempt = `Attempt ${job.attempt} of ${job.maxAttempts} at ${visible(job.type)} ${job.id}`;
  switch (outcome) {
    case "done":
      return `${attempt} would succeed${completed ? ", completed by the handler itself" : ""} (${durationMs} ms).`;
    case "retried":
      return `${attempt} would fail${timedOut ? " at its time limit" : ""} and be tried again in about ${Math.round((delayMs ?? 0) / 1000)} s.`;
    case "dead":
      return `${attempt} would fail${timedOut ? " at its time limit" : ""} and leave a dead letter.`;
    case "snoozed":
      return `${attempt} would ask to be run again in ${Math.round((delayMs ?? 0) / 1000)} s; it would not count.`;
    case "unknown":
      return `${attempt}: what it would come to is not known, because the dry run refused what the handler asked for.`;
    case "unfinished":
      return `${attempt} was not done in the time that the dry run was given (${durationMs} ms).`;
    case "crashed":
      return `${attempt} would end the worker's process: the handler threw where no promise holds the error.`;
    case "stopped":
      return `${attempt} was stopped after ${durationMs} ms.`;
  }
}

/** The first few, for whoever mends the handler. */
function frames(stack: string | null): string[] {
  const own = (stack ?? "").split("\n").filter((line) => /^\s+at /.test(line) && !/node:|node_modules|(service[\\/]|jobs-)replay|outbox[\\/]run-job/.test(line));
  return own.slice(0, 3).map((line) => `    ${visible(line.trim())}`);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function bytes(count: number): string {
  return count < 1024 ? `${count} B` : `${(count / 1024).toFixed(count < 10_240 ? 1 : 0)} KB`;
}
