// What is installed with us: little, exactly what was tested, and nothing that runs while it is installed.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../support/cli.ts";

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  readonly scripts: Readonly<Record<string, string>>;
}

// Our own files; npm has written the lock in the form of its version 3.
const read = async <Form>(name: string): Promise<Form> => JSON.parse(await readFile(join(root, name), "utf8")) as Form;
const manifest = await read<Manifest>("package.json");
const lock = await read<{ lockfileVersion: number; packages: Record<string, Locked> }>("package-lock.json");
const installed = Object.entries(lock.packages).filter(([path]) => path !== "");

/** What it takes to run. One more is a decision that somebody writes down here. */
const runTime = ["@hono/node-server", "@prisma/adapter-pg", "@prisma/client", "commander", "croner", "dejavu-fonts-ttf", "fontkit", "hono", "ipaddr.js", "nodemailer", "pdfkit", "pg", "pino", "prom-client", "zod"];

describe("the dependencies", () => {
  it("at run time are these few and no others", () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual([...runTime].sort());
    expect(manifest.optionalDependencies).toBeUndefined();
    expect(Object.keys(manifest.peerDependencies ?? {}).filter((name) => manifest.peerDependenciesMeta?.[name]?.optional !== true)).toEqual([]);
  });

  it("bring few others with them", () => {
    const withoutDev = installed.filter(([, { dev, devOptional, optional }]) => dev !== true && devOptional !== true && optional !== true);
    // 65 when this was written; a number far from that means that something large has come along.
    expect(withoutDev.length).toBeLessThan(90);
  });

  it("are named by one exact version each, also in the package.json of bench", async () => {
    for (const { dependencies, devDependencies } of [manifest, await read<Partial<Manifest>>("bench/package.json")]) {
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
        expect([name, version]).toEqual([name, expect.stringMatching(/^(?:npm:@?[\w./-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/)]);
      }
    }
  });
});

describe("the lockfile", () => {
  it("has every package with its version and a hash of what is in it, and takes none from elsewhere than the registry", () => {
    expect(lock.lockfileVersion).toBe(3);
    for (const [path, { version, resolved, integrity, link }] of installed) {
      expect([path, version, link]).toEqual([path, expect.stringMatching(/^\d+\.\d+\.\d+/), undefined]);
      expect([path, resolved ?? "https://registry.npmjs.org/", integrity]).toEqual([path, expect.stringMatching(/^https:\/\/registry\.npmjs\.org\//), expect.stringMatching(/^sha512-[\w+/]{86}==$/)]);
    }
  });

  it("agrees with package.json, so that npm ci takes it", () => {
    const { dependencies, devDependencies } = lock.packages[""] as Partial<Manifest>; // the project itself, as package.json has it
    expect({ dependencies, devDependencies }).toEqual({ dependencies: manifest.dependencies, devDependencies: manifest.devDependencies });
  });
});

describe("install scripts", () => {
  it("are off where CI installs, so that the build and all tests pass without them", async () => {
    // Not in .npmrc: npm would leave out our own prepack as well, which makes what is published.
    const installs = (await readFile(join(root, ".ci/run"), "utf8")).split("\n").filter((line) => /^\s*npm (?:ci|install|i)\b/.test(line));
    expect(installs.length).toBeGreaterThan(0);
    for (const line of installs) expect(line).toContain("npm ci --ignore-scripts");
  });

  it("we have none of our own, and run nothing that is fetched when it runs", () => {
    for (const name of ["preinstall", "install", "postinstall", "prepare", "prepublish"]) expect(manifest.scripts).not.toHaveProperty(name);
    for (const script of Object.values(manifest.scripts)) expect(script).not.toMatch(/\b(?:npx|curl|wget)\b/);
  });

  it("what runs in production has no package with one", () => {
    expect(installed.filter(([, { hasInstallScript, dev, devOptional }]) => hasInstallScript === true && dev !== true && devOptional !== true).map(([path]) => path)).toEqual([]);
  });

  it("no source of ours evaluates text or loads code from an address", async () => {
    const files = (await readdir(join(root, "src"), { recursive: true })).filter((name) => name.endsWith(".ts"));
    expect(files.length).toBeGreaterThan(200);
    for (const name of files) expect([name, /\beval\(|new Function\(|node:vm|execSync\(|shell: true/.exec(await readFile(join(root, "src", name), "utf8"))?.[0]]).toEqual([name, undefined]);
  });
});
