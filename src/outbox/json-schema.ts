// What a contract's payload must look like, as JSON Schema: for forms, the HTTP API and listings. The library that made
// the schema says it itself, by Standard JSON Schema (https://standardschema.dev/json-schema), which zod 4 and arktype
// schemas have and valibot's have through @valibot/to-json-schema.

import type { Contract } from "./define.ts";

interface SpeaksJsonSchema {
  readonly jsonSchema: { readonly input: (options: { target: string; libraryOptions: Record<string, unknown> }) => Record<string, unknown> };
}

/**
 * JSON Schema (draft 2020-12) of what may be enqueued: the schema's input, before defaults and transforms. What JSON
 * Schema cannot express, such as a function that checks a value, is left out, so what fits it may still be refused by
 * the contract. Without a schema it is `{}`: any JSON goes. Null: the schema does not say. Never throws.
 */
export function jsonSchemaOf({ schema }: Contract): Record<string, unknown> | null {
  if (schema === null) return {};
  const standard: object = schema["~standard"];
  if (!speaksJsonSchema(standard)) return null;
  try {
    // By name of the library that heeds it: zod, valibot. By default they throw for what cannot be expressed.
    const said = standard.jsonSchema.input({ target: "draft-2020-12", libraryOptions: { unrepresentable: "any", errorMode: "ignore" } });
    const schema: unknown = JSON.parse(JSON.stringify(said)); // of JSON alone
    return typeof schema === "object" && !Array.isArray(schema) ? (schema as Record<string, unknown> | null) : null;
  } catch {
    return null; // a listing of all types must not fail for one whose library gives up
  }
}

function speaksJsonSchema(standard: object): standard is SpeaksJsonSchema {
  if (!("jsonSchema" in standard) || typeof standard.jsonSchema !== "object" || standard.jsonSchema === null) return false;
  return "input" in standard.jsonSchema && typeof standard.jsonSchema.input === "function";
}
