// Reads Prometheus's text format, strictly: what Prometheus would refuse is an error here.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Exposition {
  /** The kind of each metric that has a HELP and a TYPE line. */
  readonly kinds: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
  /** The value of the one sample with these labels; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

const escapes: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)/y;

export function readExposition(text: string): Exposition {
  const kinds = new Map<string, string>();
  const helped = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s.exec(line);
    if (help?.[1] !== undefined) helped.add(help[1]);
    else if (type?.[1] !== undefined && type[2] !== undefined && helped.has(type[1])) kinds.set(type[1], type[2]);
    else if (sample?.[1] !== undefined && !line.startsWith("#")) samples.push({ name: sample[1], labels: readLabels(sample[2] ?? "", line), value: Number((sample[3] ?? "").replace("Inf", "Infinity")) });
    else throw new Error(`this line is none of the format's: ${line}`);
  }
  const keys = samples.map(({ name, labels }) => JSON.stringify([name, Object.entries(labels).sort()]));
  if (new Set(keys).size !== keys.length) throw new Error("a series is there twice");
  return {
    kinds,
    samples,
    value: (name, labels = {}) => samples.find((each) => each.name === name && JSON.stringify(Object.entries(each.labels).sort()) === JSON.stringify(Object.entries(labels).sort()))?.value,
  };
}

function readLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  label.lastIndex = 0;
  while (label.lastIndex < text.length) {
    const [, name, value] = label.exec(text) ?? [];
    if (name === undefined || value === undefined) throw new Error(`these labels are none of the format's: ${line}`);
    labels[name] = value.replaceAll(/\\[\\"n]/g, (escape) => escapes[escape] ?? "");
  }
  return labels;
}
