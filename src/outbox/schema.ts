// A contract's schema applied to a payload: when it is enqueued (the input is stored) and again when it runs (the
// handler is given the output, with the schema's defaults and transforms).

import type { Contract, Schema, SchemaIssue } from "./define.ts";
import { PayloadError } from "./errors.ts";
import { failureOf } from "./failure.ts";
import type { ClaimedJob } from "./job.ts";

/** What a handler is given: the stored payload, lifted to the contract's version, as the schema's output. Throws PayloadError. */
export function payloadOf(contract: Contract, { type, payload, version }: ClaimedJob): unknown {
  if (version >= contract.version) return checkPayload(contract, payload);
  let lifted: unknown;
  try {
    lifted = contract.migrate(payload, version);
  } catch (error) {
    throw new PayloadError(type, "payload", `could not be lifted from version ${version} to ${contract.version}: ${failureOf(error).message}`);
  }
  return checkPayload(contract, lifted);
}

/** What the schema makes of `payload`. Throws PayloadError, which names the path of the first value that does not fit. */
export function checkPayload<Input, Output>(contract: Contract<Input, Output>, payload: unknown): Output {
  // Without a schema any JSON goes, and Input and Output are the same type.
  if (contract.schema === null) return payload as Output;
  const result = validated(contract.type, contract.schema, payload);
  if (result instanceof Promise) {
    result.catch(() => undefined); // its answer comes too late to matter
    throw new PayloadError(contract.type, "the schema", "is asynchronous; enqueue checks payloads synchronously, inside the transaction");
  }
  if (result.issues === undefined) return result.value;
  const [first] = result.issues;
  const others = result.issues.length - 1;
  const more = others > 0 ? ` (and ${others} more)` : "";
  throw new PayloadError(contract.type, first ? pathOf(first) : "payload", `does not fit: ${first?.message ?? "no reason given"}${more}`);
}

/** A transform of the schema may be the app's own function, and throw. */
function validated<Input, Output>(type: string, schema: Schema<Input, Output>, payload: unknown): ReturnType<Schema<Input, Output>["~standard"]["validate"]> {
  try {
    return schema["~standard"].validate(payload);
  } catch (error) {
    throw new PayloadError(type, "payload", `could not be checked, because its schema threw: ${failureOf(error).message}`);
  }
}

function pathOf(issue: SchemaIssue): string {
  return (issue.path ?? []).reduce<string>((path, segment) => {
    const key = typeof segment === "object" ? segment.key : segment;
    return typeof key === "number" ? `${path}[${key}]` : `${path}.${String(key)}`;
  }, "payload");
}
