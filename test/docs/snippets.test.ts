// What README.md and the how-to show compiles against the package as it is, and what they say does not compile, does not.
import { readFile } from "node:fs/promises";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { root } from "../support/cli.ts";

const preamble = `
  // An app's Prisma client, as far as the examples use it.
  interface Tx { proposal: { create(args: { data: object }): Promise<{ id: string; email: string }> }; $queryRawUnsafe<T>(sql: string, ...values: unknown[]): Promise<T> }
  declare const prisma: Tx & { $connect(): Promise<void>; $transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> };
  declare const data: { title: string };
  declare const mail: { to: string; subject: string; body: string };
  declare const document: Extract<Parameters<typeof import("./src/jobs.ts").pdfGenerate.job>[0], { template: "proposal" }>["data"];
  declare const pointsAdd: import("./src/index.ts").Contract<{ userId: string; points: number }, { userId: string; points: number }>;
`;

/** Sentences about what does not compile, with the line's text. */
const problems = (code: string, from: string) => problemsOfAll(new Map([[from, code]]));

/** The same for several files by their names, in one go: what they all import is read once. */
function problemsOfAll(codes: ReadonlyMap<string, string>): string[] {
  const config = ts.parseJsonConfigFileContent(ts.readConfigFile(`${root}/tsconfig.json`, (path) => ts.sys.readFile(path)).config, ts.sys, root);
  const files = new Map([...codes].map(([from, code]) => [`${root}/${from}.snippet.ts`, code]));
  const host = ts.createCompilerHost(config.options);
  const getSourceFile = host.getSourceFile.bind(host);
  const fileExists = host.fileExists.bind(host);
  host.getSourceFile = (name, ...rest) => {
    const code = files.get(name);
    return code === undefined ? getSourceFile(name, ...rest) : ts.createSourceFile(name, code, ts.ScriptTarget.ES2023);
  };
  host.fileExists = (name) => files.has(name) || fileExists(name);
  const program = ts.createProgram([...files.keys()], config.options, host);
  return [...files].flatMap(([file, code]) => {
    const source = program.getSourceFile(file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(({ start = 0, messageText }) => {
      const line = code.slice(code.lastIndexOf("\n", start) + 1).split("\n")[0] ?? "";
      return `${line.trim()} — ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}

async function snippets(path: string): Promise<string[]> {
  const text = await readFile(`${root}/${path}`, "utf8");
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
}

describe("README.md", () => {
  it("its example compiles, but for the line that says it does not", async () => {
    const [example = ""] = await snippets("README.md");
    const found = problems(preamble + example, "README");
    expect(found).toHaveLength(1);
    expect(found[0]).toContain("does not compile");
    expect(found[0]).toContain("Pass the tx of prisma.$transaction");
  });
});

describe("docs/how-to/add-a-job-type.md", () => {
  it("its contract and handler compile, and so does its exactly-once handler", async () => {
    const [job = "", , exactlyOnce = ""] = await snippets("docs/how-to/add-a-job-type.md");
    expect(problems(job, "how-to")).toEqual([]);
    expect(problems(`${preamble}import { handle } from "postcommit";\n${exactlyOnce}`, "how-to")).toEqual([]);
  });
});

describe("docs/how-to/run-jobs-on-a-schedule.md", () => {
  it("its schedules and its configuration compile", async () => {
    const [schedules = "", configuration = ""] = await snippets("docs/how-to/run-jobs-on-a-schedule.md");
    expect(problems(schedules, "schedules")).toEqual([]);
    const declared = `declare const nightlyReport: import("./src/index.ts").ScheduleDeclaration, rejectStaleOrders: typeof nightlyReport;\n`;
    expect(problems(declared + configuration.replace(/^.*schedules\.ts.*$/m, ""), "schedules")).toEqual([]);
  });
});

describe("docs/how-to/keep-jobs-in-order.md", () => {
  it("its contract and its enqueue compile", async () => {
    const [order = ""] = await snippets("docs/how-to/keep-jobs-in-order.md");
    expect(problems(preamble + order, "order")).toEqual([]);
  });
});

describe("docs/how-to/run-a-worker.md", () => {
  it("its worker compiles", async () => {
    const [worker = ""] = await snippets("docs/how-to/run-a-worker.md");
    const declared = `declare const outbox: import("./src/index.ts").Outbox, handlers: import("./src/index.ts").Handler[], schedules: import("./src/index.ts").ScheduleDeclaration[];\nexport {};\n`;
    expect(problems(preamble + declared + worker, "worker")).toEqual([]);
  });
});

it("every example of these how-tos compiles", async () => {
  const outbox = `declare const outbox: import("./src/index.ts").Outbox;\nexport {};\n`;
  const declared = {
    "do-things-once": outbox,
    "run-long-jobs": outbox,
    "change-a-payload": outbox,
    "limit-a-type": outbox,
    "notify-people": preamble + outbox,
    "guard-transitions": "",
    "send-webhooks": `${preamble}${outbox}declare const body: string, headers: Record<string, string>;\n`,
    "take-payments": preamble + outbox,
    "be-told-when-jobs-fail": "",
    "install-in-your-app": `${preamble}export {};\n`,
    "redrive-dead-letters": "",
    "monitor-with-prometheus": `declare const handlers: import("./src/index.ts").Handler[];\nexport {};\n`,
  };
  const codes = new Map<string, string>();
  for (const [name, before] of Object.entries(declared)) {
    const examples = await snippets(`docs/how-to/${name}.md`);
    expect(examples.length).toBeGreaterThan(0);
    examples.forEach((example, nth) => codes.set(`${name}-${nth}`, `${before}${example}`));
  }
  expect(problemsOfAll(codes)).toEqual([]);
});

describe("docs/how-to/use-your-prisma-client.md", () => {
  it("its examples compile with a real client of Prisma 7", async () => {
    const [plain = "", extended = ""] = await snippets("docs/how-to/use-your-prisma-client.md");
    const client = `declare const prisma: import("./test/clients/prisma-7/generated/with-outbox/client.ts").PrismaClient, data: { title: string };\n`;
    const declared = `import { emailSend } from "postcommit/jobs";\ndeclare const outbox: import("./src/index.ts").AppOutbox;\n`;
    expect(problemsOfAll(new Map([["plain", client + plain], ["extended", client + declared + extended]]))).toEqual([]);
  });
});

describe("docs/how-to/use-without-prisma.md", () => {
  it("its examples compile with the libraries themselves", async () => {
    const [four = "", other = ""] = await snippets("docs/how-to/use-without-prisma.md");
    const libraries = `
      declare const pool: import("pg").Pool, db: import("kysely").Kysely<Record<string, never>>, sql: import("postgres").Sql;
      declare const drizzle: ReturnType<typeof import("drizzle-orm/node-postgres").drizzle>, mail: { to: string; subject: string; body: string };\n`;
    const manager = `
      import { emailSend } from "postcommit/jobs";
      declare const outbox: import("./src/index.ts").Outbox, mail: { to: string; subject: string; body: string };
      declare const manager: { transaction(work: (tx: { run(text: string, values: unknown[]): Promise<Record<string, unknown>[]> }) => Promise<void>): Promise<void> };\n`;
    expect(problemsOfAll(new Map([["four", libraries + four], ["other", manager + other]]))).toEqual([]);
  });
});

describe("docs/how-to/mount-in-your-app.md and run-by-url.md", () => {
  it("their lines compile in each framework", async () => {
    const [handler = "", ...mounts] = await snippets("docs/how-to/mount-in-your-app.md");
    const url = await snippets("docs/how-to/run-by-url.md");
    const withHandler = mounts.map((code) => code.replace(/^import .* from ".\/jobs-http.ts";$/m, `declare const handler: import("./src/http.ts").HttpHandler;\ndeclare const outbox: import("./src/index.ts").Outbox;`));
    const all = new Map([handler, ...withHandler, ...url].map((code, index) => [`http-${index}`, code]));
    expect(all.size).toBe(8);
    expect(problemsOfAll(all)).toEqual([]);
  });
});
