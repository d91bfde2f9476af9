// Versions of Node and of Prisma's packages, as they are installed here, against those that this program works with.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageDir } from "../place.ts";
import type { Check } from "./doctor.ts";
import type { Seen } from "./look.ts";
import { notice, ok, problem, warning } from "./look.ts";

export const nodeVersion: Check = {
  name: "node",
  needsTables: false,
  async run() {
    const { node } = process.versions;
    const manifest = JSON.parse(await readFile(join(packageDir, "package.json"), "utf8")) as { engines: { node: string } }; // our own file
    const range = manifest.engines.node;
    return [within(node, range) ? ok(`${node}.`) : problem(`${node}, expected ${range}.`, "install a version of Node that fits")];
  },
};

const prismaRange = "^6.19 || ^7.0";

export const prismaVersions: Check = {
  name: "prisma",
  needsTables: false,
  async run({ root }) {
    const installed = (await Promise.all(["@prisma/client", "@prisma/adapter-pg", "prisma"].map(async (name) => ({ name, version: await versionOf(name, root) })))).flatMap(({ name, version }) => (version === null ? [] : [{ name, version }]));
    if (installed.length === 0) return [notice("not installed here; the outbox works without.")];
    const said = installed.map(({ name, version }) => `${name} ${version}`).join(", ");
    const outside = installed.filter(({ version }) => !within(version, prismaRange));
    const seen: Seen[] = outside.map(({ name, version }) => warning(`${name} is ${version}, expected ${prismaRange}.`, `npm install ${name}@7`));
    if (new Set(installed.map(({ version }) => version.split(".")[0])).size > 1) seen.push(warning(`the packages are of different major versions: ${said}.`, `npm install ${installed.map(({ name }) => `${name}@7`).join(" ")}`));
    return seen.length > 0 ? seen : [ok(`${said}.`)];
  },
};

/** Not by the package's entry, which may be one that Node must not load; by the manifest beside it, where Node would look. */
async function versionOf(name: string, root: string): Promise<string | null> {
  for (const folder of createRequire(join(root, "package.json")).resolve.paths(name) ?? [join(dirname(root), "node_modules")]) {
    const text = await readFile(join(folder, name, "package.json"), "utf8").catch(() => null); // not in this folder
    if (text !== null) return (JSON.parse(text) as { version: string }).version; // a manifest has one
  }
  return null;
}

/** Whether a version lies in a range of the forms that we use: `^20.19 || ^22.12 || >=24`. */
export function within(version: string, range: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return range.split("||").some((part) => {
    const [, operator, wantedMajor = "", wantedMinor = "0"] = /^\s*(\^|>=)(\d+)(?:\.(\d+))?\s*$/.exec(part) ?? [];
    if (operator === undefined) return false;
    if (major === Number(wantedMajor)) return minor >= Number(wantedMinor);
    return operator === ">=" && major > Number(wantedMajor);
  });
}
