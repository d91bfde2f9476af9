// Where a handler is mounted: "" or a prefix such as /jobs-admin. An app's router may or may not take it off the path, so
// unless it is said, it is found for each request: whatever stands before the first that is the path of a route.

export interface Place {
  readonly base: string;
  /** The path without it. */
  readonly path: string;
}

/** `paths` as routes have them, such as `/api/jobs/{id}`. `basePath` null: to be found. */
export function placeBy(paths: readonly string[], basePath: string | null): (pathname: string) => Place {
  const patterns = paths.map(patternOf);
  return (pathname) => {
    if (basePath !== null) return pathname.startsWith(`${basePath}/`) ? { base: basePath, path: pathname.slice(basePath.length) } : { base: basePath, path: "" };
    // From the left: of /api/jobs/health the id is "health", and nothing is mounted at /api/jobs.
    for (let start = 0; start !== -1; start = pathname.indexOf("/", start + 1)) {
      const path = pathname.slice(start);
      if (patterns.some((pattern) => pattern.test(path))) return { base: pathname.slice(0, start), path };
    }
    return { base: "", path: pathname };
  };
}

export function patternOf(path: string): RegExp {
  const parts = path.split(/\{\w+\}/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^/]+")}$`);
}

/** "/jobs-admin" of "jobs-admin/"; "" of "/". */
export function normalBasePath(given: string): string {
  const inner = given.replace(/^\/+|\/+$/g, "");
  return inner === "" ? "" : `/${inner}`;
}
