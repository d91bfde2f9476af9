// docs/reference/metrics.md, from the definitions that the metrics are registered by.

import type { Definition } from "../../src/service/metrics/definitions.ts";
import { databaseMetrics, eventMetrics } from "../../src/service/metrics/definitions.ts";
import { table } from "./cli.ts";

const intro = `# Metrics

<!-- Made by \`npm run docs\` from src/service/metrics/definitions.ts; a test fails when it is stale. -->

What \`/metrics\` answers, in Prometheus's text format. How to have it scraped, with a dashboard and alerts:
[monitor-with-prometheus.md](../how-to/monitor-with-prometheus.md). Names are stable: a metric is not renamed, and its
labels do not change, within a major version.

A job type becomes the label \`type\`. The types that the process has handlers for come first, then those that are met, 100
altogether (\`maxTypes\`); all further ones are counted together as \`type="other"\`. With schedules it is the same.

## Of this process

Counted since the process started, from what it does itself. A drain that ends takes its counts with it.
`;

const database = `## Of the database

The same in every process that is asked, so join them by \`max\`, not by \`sum\`. Read at most once in 15 s (\`maxAge\`), and
bounded: what is finished is not counted here, for no index serves that. While the database does not answer, only
\`postcommit_database_up\` is shown.
`;

export function metricsPage(): string {
  return [intro, rows(eventMetrics), database, rows(databaseMetrics)].join("\n");
}

function rows(metrics: Readonly<Record<string, Definition>>): string {
  return table(
    ["metric", "kind", "labels", "meaning"],
    Object.entries(metrics).map(([name, { kind, labels, help, buckets }]) => [`\`${name}\``, kind, labels.map((label) => `\`${label}\``).join(", "), buckets === undefined ? help : `${help} Buckets up to ${buckets.join(", ")} s.`]),
  );
}
