// docs/reference/http.md: the routes, by the OpenAPI document that a handler with everything serves.

import { createHttpHandler } from "../../src/http.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { table } from "./cli.ts";

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly "x-roles"?: readonly string[];
  readonly "x-users"?: boolean;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly description?: string; readonly schema: { readonly description?: string; readonly type?: string; readonly enum?: readonly string[]; readonly format?: string } }[];
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly schema: unknown } } };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

const token = "0".repeat(32);

export async function httpPage(): Promise<string> {
  const nobody = { contract: { type: "any" } as never, run: () => Promise.resolve(null) }; // only that there is a handler matters here
  const handler = createHttpHandler({} as Outbox, { tokens: { view: token }, handlers: [nobody], metrics: { text: () => Promise.reject(new Error("not asked")) } }); // no route but that of the document is asked
  const response = await handler(new Request("http://localhost/api/openapi.json", { headers: { authorization: `Bearer ${token}` } }));
  const { paths } = (await response.json()) as { paths: Record<string, Record<string, Operation>> };
  const sections = Object.entries(paths).flatMap(([path, operations]) => Object.entries(operations).map(([method, operation]) => section(method.toUpperCase(), path, operation)));
  return [head, ...sections].join("\n");
}

const head = `# HTTP

Made by \`npm run docs\` from the OpenAPI document, which the server serves itself, with the payloads of your types, at
\`/api/openapi.json\`. How to mount it: [mount-in-your-app.md](../how-to/mount-in-your-app.md). In a clone \`npm run app:cli serve\`
serves it.

Requests and answers are JSON. A token goes into \`Authorization: Bearer …\`. What is refused is answered by a problem
document (RFC 9457) with a \`code\` for machines, a sentence for people, and the request's id, which the header
\`X-Request-Id\` has too.
`;

function section(method: string, path: string, operation: Operation): string {
  const { summary, description } = operation;
  const parameters = operation.parameters.filter(({ name }) => name !== "X-Request-Id");
  const roles = operation["x-roles"];
  const users = operation["x-users"] === true ? " Users of the app too, for their own jobs." : "";
  return [
    `## ${method} ${path}\n`,
    `${summary}. ${roles === undefined ? "For everyone." : `Needs the role ${roles.map(code).join(" or ")}.${users}`}${description === undefined ? "" : ` ${description}`}\n`,
    ...(parameters.length === 0 ? [] : [table(["parameter", "in", "what"], parameters.map((each) => [code(each.name === "payload" ? "payload.<path>" : each.name), each.in, whatOf(each)]))]),
    ...(operation.requestBody === undefined ? [] : [`Body: ${bodyOf(operation.requestBody.content["application/json"].schema)}\n`]),
    table(["status", "means"], Object.entries(operation.responses).map(([status, { description: meaning }]) => [status, meaning])),
  ].join("\n");
}

function whatOf({ description, schema }: Operation["parameters"][number]): string {
  const said = description ?? schema.description;
  if (said !== undefined) return said;
  if (schema.enum !== undefined) return schema.enum.map(code).join(", ");
  return schema.type === "array" ? "may be given more than once" : (schema.format ?? schema.type ?? "");
}

/** The names of what it may have. */
function bodyOf(schema: unknown): string {
  if (typeof schema !== "object" || schema === null) return "JSON.";
  if ("$ref" in schema) return `a ${code(String(schema.$ref).replace("#/components/schemas/", ""))}.`;
  if ("anyOf" in schema && Array.isArray(schema.anyOf)) return schema.anyOf.map(bodyOf).map((each) => each.replace(/\.$/, "")).join("; or ") + ".";
  if (!("properties" in schema) || typeof schema.properties !== "object" || schema.properties === null) return "JSON.";
  return `${Object.keys(schema.properties).map(code).join(", ")}.`;
}

const code = (text: string) => `\`${text}\``;
