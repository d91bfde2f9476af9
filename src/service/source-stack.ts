// A stack of the built program in terms of its sources. Done when one is shown: Node's own --enable-source-maps reads every
// map at the start, which would make an empty drain a tenth slower.

import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { built, packageDir } from "./place.ts";

const place = /\(?(file:\/\/\S+?\.js):(\d+):(\d+)\)?$/;

/** The stack as it is when these are the sources, or when a map is missing. */
export function sourceStack(stack: string): string {
  const dist = built?.dist;
  if (dist === undefined) return stack;
  const maps = new Map<string, SourceMap | null>();
  const frames = stack.split("\n").map((line) => {
    const [found, url = "", row = "", column = ""] = place.exec(line) ?? [];
    if (found === undefined || !line.startsWith("    at ")) return line;
    const path = fileURLToPath(url);
    if (!path.startsWith(dist)) return line;
    if (!maps.has(path)) maps.set(path, readMap(`${path}.map`));
    const entry = maps.get(path)?.findEntry(Number(row) - 1, Number(column) - 1);
    if (entry === undefined || !("originalSource" in entry)) return line;
    return `${line.slice(0, -found.length)}(${relative(packageDir, join(dirname(path), entry.originalSource))}:${entry.originalLine + 1}:${entry.originalColumn + 1})`;
  });
  return frames.join("\n");
}

function readMap(path: string): SourceMap | null {
  if (!existsSync(path)) return null;
  return new SourceMap(JSON.parse(readFileSync(path, "utf8")) as ConstructorParameters<typeof SourceMap>[0]); // written by our own build
}
