// The picture of a soak: four charts over the same minutes, the time of the held snapshot in grey.

import { createRequire } from "node:module";
import { Resvg } from "@resvg/resvg-js";
import * as echarts from "echarts";
import { countOf, percentile } from "./histogram.ts";
import type { Soak } from "./record.ts";

const width = 1200;
const chartHeight = 230;
const windowSeconds = 10;
/** That of the pictures' text is a package here: a machine may have no fonts. */
const font = createRequire(new URL("../../package.json", import.meta.url)).resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf");

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [minute: number, value: number | null])[];
}

interface Chart {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly logarithmic?: boolean;
}

export function picture({ plan, startedAt, windows, looks, versions }: Soak): Buffer {
  const minute = (at: number) => (at - startedAt) / 60_000;
  const waits = (name: string, share: number): Line => ({ name, points: windows.map(({ at, waits }) => [minute(at), percentile([waits], share)]) });
  const sizes = (name: string, size: (look: (typeof looks)[number]) => number): Line => ({ name, points: looks.map((look) => [minute(look.at), size(look)]) });
  const charts: Chart[] = [
    { title: "jobs run a second", lines: [{ name: "jobs/s", points: windows.map(({ at, waits }) => [minute(at), countOf(waits) / windowSeconds]) }] },
    { title: "from enqueue to handler, ms", lines: [waits("p50", 0.5), waits("p99", 0.99), waits("most", 1)], logarithmic: true },
    { title: "size of outbox, MB", lines: [sizes("table", ({ table }) => table / 2 ** 20), sizes("indexes", ({ indexes }) => indexes / 2 ** 20)] },
    { title: "dead tuples and rows, thousands", lines: [sizes("dead tuples", ({ dead }) => dead / 1000), sizes("rows", ({ live }) => live / 1000)] },
    { title: "the worker's memory (RSS), MB", lines: [{ name: "RSS", points: windows.map(({ at, rss }) => [minute(at), rss / 2 ** 20]) }] },
  ];
  const height = charts.length * chartHeight + 60;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "DejaVu Sans" },
    title: [
      { text: `${plan.perSecond} jobs/s for ${plan.minutes} minutes; a snapshot is held in the grey ones. ${versions}`, left: 20, top: 12, textStyle: { fontSize: 17 } },
      ...charts.map(({ title }, nth) => ({ text: title, left: 20, top: 48 + nth * chartHeight, textStyle: { fontSize: 14 } })),
    ],
    legend: charts.map(({ lines }, nth) => ({ data: lines.map(({ name }) => name), right: 30, top: 46 + nth * chartHeight })),
    grid: charts.map((_, nth) => ({ left: 80, right: 30, top: 80 + nth * chartHeight, height: chartHeight - 60 })),
    xAxis: charts.map((_, nth) => ({ type: "value", gridIndex: nth, min: 0, max: plan.minutes, interval: plan.minutes / 15, axisLabel: { formatter: (value: number) => `${Number(value.toFixed(1))}` } })),
    yAxis: charts.map(({ logarithmic }, nth) => ({ type: logarithmic === true ? "log" : "value", gridIndex: nth, ...(logarithmic === true ? {} : { min: 0 }) })),
    series: charts.flatMap(({ lines }, nth) =>
      lines.map(({ name, points }, first) => ({
        name,
        type: "line",
        xAxisIndex: nth,
        yAxisIndex: nth,
        showSymbol: false,
        data: points,
        ...(first === 0 ? { markArea: { itemStyle: { color: "rgba(120, 120, 120, 0.15)" }, data: [[{ xAxis: plan.holdFrom }, { xAxis: plan.holdUntil }]] } } : {}),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return Buffer.from(new Resvg(svg, { font: { fontFiles: [font], loadSystemFonts: false, defaultFontFamily: "DejaVu Sans" } }).render().asPng());
}
