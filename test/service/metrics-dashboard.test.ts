// docs/grafana: the dashboard and the alerts ask for metrics that there are, with labels that they have.
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { Definition } from "../../src/service/metrics/definitions.ts";
import { databaseMetrics, eventMetrics } from "../../src/service/metrics/definitions.ts";
import { root } from "../support/cli.ts";

const metrics = new Map<string, Definition>(Object.entries({ ...eventMetrics, ...databaseMetrics }));

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const dashboard = JSON.parse(await readFile(`${root}/docs/grafana/postcommit.json`, "utf8")) as { panels: Panel[]; templating: { list: { name: string }[] } };
const alerts = await readFile(`${root}/docs/grafana/alerts.yml`, "utf8");
const panels = dashboard.panels.filter(({ type }) => type !== "row");
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })));
const rules = alerts.split(/^ *- alert: /m).slice(1).map((rule) => ({ title: rule.split("\n")[0] ?? "", expr: /^ *expr: (.+)$/m.exec(rule)?.[1] ?? "", legendFormat: (rule.match(/\{\{ \$labels\.\w+ \}\}/g) ?? []).join(" ") }));

/** What is wrong with the names in a query. */
function problemsOf(expr: string, legend: string): string[] {
  const problems: string[] = [];
  const known = new Set<string>(["le"]);
  const used = [...expr.matchAll(/\b(postcommit_\w+)(?:\{([^}]*)\})?/g)];
  if (used.length === 0) problems.push("it asks for none of our metrics");
  for (const [, name = "", matchers = ""] of used) {
    const base = metrics.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
    const metric = metrics.get(base);
    if (metric === undefined || (metric.kind === "histogram") !== (base !== name)) {
      problems.push(`there is no ${name}`);
      continue;
    }
    for (const label of metric.labels) known.add(label);
    for (const [, label = ""] of matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)) if (!metric.labels.some((each) => each === label)) problems.push(`${name} has no label ${label}`);
    const isRate = new RegExp(`(rate|increase)\\(${name}[{[]`).test(expr);
    if (isRate !== (metric.kind !== "gauge")) problems.push(`${name} is a ${metric.kind}`);
  }
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = ""]) => labels.split(/, */));
  for (const label of [...grouped.filter((each) => each !== "job"), ...[...legend.matchAll(/\{\{ ?(?:\$labels\.)?(\w+) ?\}\}/g)].map(([, label = ""]) => label)]) if (!known.has(label)) problems.push(`nothing here has the label ${label}`);
  return problems;
}

describe("docs/grafana/postcommit.json", () => {
  it.each(queries)("$title: $expr", ({ expr, legendFormat }) => {
    expect(problemsOf(expr, legendFormat)).toEqual([]);
  });

  it("shows every metric that there is", () => {
    const shown = queries.map(({ expr }) => expr).join("\n");
    expect([...metrics.keys()].filter((name) => !new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(shown))).toEqual([]);
  });

  it("every panel has a unit, a description and a place of its own, and types can be chosen", () => {
    expect(panels.filter(({ fieldConfig, description = "" }) => (fieldConfig?.defaults.unit ?? "") === "" || description === "").map(({ title }) => title)).toEqual([]);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const places = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) => Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`));
    expect(new Set(places).size).toBe(places.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "type"]);
  });
});

describe("docs/grafana/alerts.yml", () => {
  it.each(rules)("$title: $expr", ({ expr, legendFormat }) => {
    expect(problemsOf(expr, legendFormat)).toEqual([]);
  });

  it("has some", () => expect(rules.length).toBeGreaterThan(5));
});

it("the checks themselves see a wrong name, a wrong label and a wrong kind", () => {
  expect(problemsOf("sum(postcommit_nothing)", "")).toEqual(["there is no postcommit_nothing"]);
  expect(problemsOf("sum(postcommit_run_seconds)", "")).toEqual(["there is no postcommit_run_seconds"]);
  expect(problemsOf('max by (state) (postcommit_workers{type="a"})', "{{state}}")).toEqual(["postcommit_workers has no label type"]);
  expect(problemsOf("rate(postcommit_jobs[5m])", "")).toEqual(["postcommit_jobs is a gauge"]);
  expect(problemsOf("sum by (type) (postcommit_jobs)", "{{schedule}}")).toEqual(["nothing here has the label schedule"]);
});
