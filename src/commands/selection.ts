// The flags that select jobs. They are the same for every command, so that jobs:list with some of them is the preview of
// jobs:retry or jobs:cancel with the same ones.

import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { OutboxError } from "../outbox/errors.ts";
import type { JobFilter, PayloadValue } from "../outbox/filter.ts";
import { payloadValuesOf } from "../outbox/filter.ts";
import type { Status } from "../outbox/job.ts";
import { statuses } from "../outbox/job.ts";
import { visible } from "../service/visible.ts";
import { quoted } from "../outbox/shell.ts";
import { duration, list } from "./flags.ts";

export interface SelectionFlags {
  readonly id?: string[];
  readonly type?: string[];
  readonly status?: Status[];
  readonly owner?: string;
  readonly key?: string;
  readonly orderingKey?: string;
  readonly tag?: string[];
  readonly olderThan?: number;
  readonly error?: string;
  readonly fingerprint?: string;
  readonly payload?: Record<string, PayloadValue[]>;
  readonly all?: boolean;
}

export function addSelectionFlags(command: Command): Command {
  return command
    .option("--id <ids>", "jobs by their ids, with commas between them", list)
    .option("--type <types>", "jobs of these types", list)
    .option("--status <statuses>", `jobs in these: ${statuses.join(", ")}`, statusList)
    .option("--owner <user>", "jobs that were enqueued on behalf of this user")
    .option("--key <key>", "jobs with this dedupe key")
    .option("--ordering-key <key>", "jobs with this ordering key")
    .option("--tag <tags>", "jobs with all of these tags", list)
    .option("--older-than <time>", "jobs that were enqueued longer ago, for example 2h", duration)
    .option("--error <text>", "jobs whose latest error has this text in it")
    .option("--fingerprint <fingerprint>", "jobs whose latest failure has it, as errors shows it")
    .option("--payload <path=value>", "jobs with this value in their payload, for example customer.id=42; may be given more than once", payloadValue)
    .addOption(new Option("--all", "every job, where no other selection is given"));
}

function statusList(value: string, before: readonly Status[] = []): Status[] {
  const named = list(value).map((name) => {
    const known = statuses.find((each) => each === name);
    if (known === undefined) throw new InvalidArgumentError(`Expected ${statuses.join(", ")}, got ${JSON.stringify(name)}.`);
    return known;
  });
  return [...before, ...named];
}

function payloadValue(given: string, before: Record<string, PayloadValue[]> = {}): Record<string, PayloadValue[]> {
  const [, path, text] = /^([^=]+)=(.*)$/s.exec(given) ?? [];
  if (path === undefined || text === undefined) throw new InvalidArgumentError(`Expected a path and a value, such as customer.id=42, got ${JSON.stringify(given)}.`);
  // A path may have a name that every object has, such as constructor.
  const values = Object.hasOwn(before, path) ? (before[path] ?? []) : [];
  return { ...before, [path]: [...values, ...payloadValuesOf(text)] };
}

/** Null: nothing was selected. */
export function filterOf({ id, type, status, owner, key, orderingKey, tag, olderThan, error, fingerprint, payload, all }: SelectionFlags): JobFilter | null {
  const given = { id, type, status, owner, dedupeKey: key, orderingKey, tag, olderThan, error, fingerprint, payload };
  const conditions = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (Object.keys(conditions).length > 0 && all === true) throw new OutboxError("USAGE", "Expected either --all or other selection flags, got both.");
  if (Object.keys(conditions).length > 0) return conditions;
  return all === true ? { all } : null;
}

/** The selection as it has to be typed. */
export function selectionLine({ id, type, status, owner, key, orderingKey, tag, olderThan, error, fingerprint, payload, all }: SelectionFlags): string[] {
  const flag = (name: string, value: string | undefined) => (value === undefined ? [] : [`${name} ${quoted(visible(value))}`]);
  return [
    ...flag("--id", id?.join(",")),
    ...flag("--type", type?.join(",")),
    ...flag("--status", status?.join(",")),
    ...flag("--owner", owner),
    ...flag("--key", key),
    ...flag("--ordering-key", orderingKey),
    ...flag("--tag", tag?.join(",")),
    ...flag("--older-than", olderThan === undefined ? undefined : `${olderThan}ms`),
    ...flag("--error", error),
    ...flag("--fingerprint", fingerprint),
    ...Object.entries(payload ?? {}).flatMap(([path, values]) => values.filter((value) => typeof value === "string").flatMap((value) => flag("--payload", `${path}=${value}`))),
    ...(all === true ? ["--all"] : []),
  ];
}
