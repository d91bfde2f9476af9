// What one setting is, and how its value is found and shown. The settings themselves: settings-table.ts.

import { OutboxError } from "../outbox/errors.ts";
import type { OutboxConfig } from "./config.ts";

export interface SettingDefinition<Value> {
  /** What it does, in a clause or two of Markdown: docs/reference/settings.md is made of them. */
  readonly meaning: string;
  /** The environment variable that sets it, made by text, trueOrFalse or oneOf below. None: outbox.config.ts only. */
  readonly variable?: Variable<Value>;
  /** Its value in outbox.config.ts, where its name is its place. None: the variable only. */
  readonly configured?: (config: OutboxConfig) => Value | null | undefined;
  readonly fallback: Value;
  /** The default in words of Markdown, where its value says too little. */
  readonly fallbackText?: string;
  /** Refuses a value, wherever it came from, with an OutboxError. */
  readonly check?: (value: NonNullable<Value>) => void;
  /** The value as anyone may see it, without passwords and keys: text is shown as it is, unless a function of masked.ts stands here. */
  readonly show?: (value: NonNullable<Value>) => string;
}

export interface Variable<Value> {
  readonly name: string;
  /** A text that will not do is refused with an OutboxError that names the variable. */
  parse(text: string): Value;
}

/** Where values come from. */
export interface Given {
  /** Null: not set; or empty, which is the same. */
  readonly variable: (name: string) => { readonly text: string; readonly source: "environment" | ".env" } | null;
  readonly file: { readonly name: string; readonly config: OutboxConfig };
}

export interface Reading<Value> {
  readonly value: Value;
  /** The value as anyone may see it. */
  readonly show: () => string;
  /** "environment", ".env", the name of the configuration's file, or "default". */
  readonly source: string;
  /** Why the value will not do, and the default stands in its place; null when it will. */
  readonly problem: OutboxError | null;
}

export interface Setting<Value> {
  readonly meaning: string;
  readonly variable: string | null;
  readonly inFile: boolean;
  /** The default in Markdown; empty: nothing. */
  readonly fallback: string;
  read(given: Given): Reading<Value>;
}

export function setting<Value>(definition: SettingDefinition<Value>): Setting<Value> {
  const { meaning, variable, configured, fallback, check } = definition;
  const show = (value: Value): string => (isSet(value) ? (definition.show ?? String)(value) : "");
  const shownFallback = definition.fallbackText?.replaceAll("`", "") ?? show(fallback);

  function read({ variable: environment, file }: Given): Reading<Value> {
    let source = "default";
    try {
      const found = variable === undefined ? null : environment(variable.name);
      let value: Value | null | undefined;
      if (variable !== undefined && found !== null) {
        source = found.source;
        value = variable.parse(found.text);
      } else if (configured !== undefined) {
        source = file.name;
        value = configured(file.config);
      }
      if (!isSet(value)) return { value: fallback, show: () => shownFallback, source: "default", problem: null };
      check?.(value);
      const valid = value;
      return { value, show: () => show(valid), source, problem: null };
    } catch (error) {
      if (!(error instanceof OutboxError)) throw error;
      return { value: fallback, show: () => "(will not do)", source, problem: error };
    }
  }
  return { meaning, variable: variable?.name ?? null, inFile: configured !== undefined, fallback: definition.fallbackText ?? quoted(show(fallback)), read };
}

/** Any text. */
export function text(name: string): Variable<string> {
  return { name, parse: (given) => given };
}

/** "true" or "false". */
export function trueOrFalse(name: string): Variable<boolean> {
  return { name, parse: (given) => oneOf(name, ["true", "false"]).parse(given) === "true" };
}

/** One of a few words. */
export function oneOf<Word extends string>(name: string, known: readonly Word[]): Variable<Word> {
  return {
    name,
    parse(given) {
      const found = known.find((each) => each === given);
      if (found !== undefined) return found;
      throw new OutboxError("CONFIGURATION", `Expected ${name} to be one of ${known.join(", ")}, got ${JSON.stringify(given)}.`);
    },
  };
}

function quoted(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}

/** An empty text is none: that is what `DATABASE_URL=` in a .env file means. */
function isSet<Value>(value: Value): value is NonNullable<Value> {
  return value !== undefined && value !== null && value !== "";
}
