// A mutant: one guard taken out of the sources, and the tests that must notice. Next: guards.ts (which there are).

export interface Mutant {
  readonly name: string;
  /** What the guard protects from, as a sentence. */
  readonly guard: string;
  readonly file: string;
  /** The text of the guard. It must be in the file exactly once, or the mutant has rotted. */
  readonly out: string;
  /** What stands there instead: something that runs, and does not guard. */
  readonly in: string;
  /** The files of tests that are expected to notice, each with a part of the test's name as the file has it. */
  readonly noticedBy: Readonly<Record<string, string>>;
  /** Those tests run the built program, so it is built with the mutant in it. Default: false. */
  readonly program?: boolean;
  /**
   * How the failure begins, where it is neither an assertion nor one of the suite's own waits. Anything else would not
   * prove a thing: SQL with a mistake in it is red as well.
   */
  readonly says?: string;
}

/** The source without the guard; throws when the guard cannot be found in it. */
export function without({ name, file, out, in: put }: Mutant, source: string): string {
  const found = source.split(out).length - 1;
  if (found !== 1) throw new Error(`The mutant ${name} has rotted: expected its text in ${file} exactly once, found it ${found} times. Correct it in scripts/mutants/guards/.`);
  return source.replace(out, () => put);
}
