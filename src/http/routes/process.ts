// /api/jobs/process: runs what is due because somebody has asked, where there is neither cron nor a host for a worker.
// By POST, and by GET for platforms whose cron sends nothing else.

import { z } from "zod";
import { hasRole } from "../caller.ts";
import { Problem } from "../problem.ts";
import type { Answer, Asked, Route } from "../route.ts";
import { checked, route } from "../route.ts";
import type { ProcessParts, Wanted } from "../run-by-request.ts";
import { runByRequest } from "../run-by-request.ts";
import { jobId, reportShape, statsShape, statusSchema } from "../shapes.ts";
import { duration } from "./jobs.ts";

const type = z.string().min(1).max(200);
const types = z.array(type).min(1).max(100);
const shared = { limit: z.int().min(1).max(1_000_000).optional(), maxTime: duration.optional(), exclusive: z.boolean().optional(), waitForJobId: jobId.optional() };
const forms = {
  "process-type": z.strictObject({ action: z.literal("process-type"), type, ...shared }),
  "process-batch": z.strictObject({ action: z.literal("process-batch"), types: types.optional(), ...shared }),
  drain: z.strictObject({ action: z.literal("drain").optional(), types: types.optional(), ...shared }),
} as const;
const anyForm = z.union([forms["process-type"], forms["process-batch"], forms.drain]);

const processQuery = z.strictObject({
  action: z.enum(["process-type", "process-batch", "drain"]).optional(),
  type: type.optional(),
  types: types.optional(),
  limit: z.coerce.number<string>().int().min(1).max(1_000_000).optional(),
  maxTime: z.string().optional(),
  exclusive: z.enum(["true", "false"]).optional(),
  waitForJobId: jobId.optional(),
});

const processed = z.object({
  action: z.enum(["process-type", "process-batch", "drain"]),
  report: reportShape,
  byType: z.record(z.string(), reportShape).optional().meta({ description: "Of process-batch: each type's own report." }),
  job: z.object({ id: jobId, status: statusSchema, result: z.unknown(), lastError: z.string().nullable() }).optional().meta({ description: "Of waitForJobId: the job as it was at the end." }),
});

const runs = {
  group: "process",
  description:
    "drain runs what is due, `limit` jobs at most; process-type the jobs of one type; process-batch one type after the other, `limit` jobs of each. Answers 200 with the report also when jobs have failed. With waitForJobId it also waits for that job to end, wherever it runs. Who asked may leave: what has begun goes on.",
  problems: ["not_found", "locked", "busy"] as const,
};
/** At once by one handler: each has connections and a row as a worker. */
const maxAtOnce = 4;

export function processRoutes(parts: ProcessParts): Route[] {
  let running = 0;
  const run = async (wanted: Wanted): Promise<Answer> => {
    if (running >= maxAtOnce) throw new Problem("busy", `${maxAtOnce} of these run here already.`, { headers: { "retry-after": "10" } });
    running += 1;
    try {
      return await runByRequest(parts, wanted);
    } finally {
      running -= 1;
    }
  };
  const timeLimitMs = parts.maxTimeMs + parts.graceMs + 15_000;
  const report = { meaning: "What was run.", schema: processed };
  const get = route({
    ...runs,
    method: "get",
    path: "/api/jobs/process",
    name: "processByGet",
    summary: "Run what is due, or with a token that may not: the stats",
    access: { roles: ["run", "view"] },
    query: processQuery,
    answers: { 200: { ...report, schema: z.union([processed, statsShape]) } },
    timeLimitMs,
    changesByGet: true,
    async run({ query, caller }: Asked<z.output<typeof processQuery>>) {
      if (parts.handlers.length > 0 && hasRole(caller, ["run"])) return run(fromQuery(query));
      if (!hasRole(caller, ["view"])) throw new Problem("forbidden", "No handlers are given to this server, so nothing is run here; the stats need the role view.");
      return { status: 200, body: await parts.stats() };
    },
  });
  if (parts.handlers.length === 0) return [get];
  const post = route({
    ...runs,
    method: "post",
    path: "/api/jobs/process",
    name: "process",
    summary: "Run what is due",
    access: { roles: ["run"] },
    body: { schema: anyForm, formOf, optional: true },
    answers: { 200: report },
    timeLimitMs,
    run: ({ body }: Asked<unknown, Wanted>) => run(body),
  });
  return [get, post];
}

function formOf(given: unknown): z.ZodType {
  const action = typeof given === "object" && given !== null && "action" in given ? given.action : "drain";
  if (action === "process-type" || action === "process-batch" || action === "drain") return forms[action];
  throw new Problem("invalid_request", "Expected action of the body to be process-type, process-batch or drain.", { path: "action" });
}

function fromQuery({ exclusive, ...query }: z.output<typeof processQuery>): Wanted {
  const given = { ...query, ...(exclusive !== undefined && { exclusive: exclusive === "true" }) };
  return checked(formOf(given), given, "the query") as Wanted; // of one of the three forms
}
