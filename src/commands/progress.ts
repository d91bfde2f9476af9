// A line on stderr that is written over again and again, for work that takes over half a second while a person watches.

/** To the beginning of the line, and all of it gone. */
const eraseLine = "\r\u001b[2K";
const firstMs = 500;
const everyMs = 100;
const barWidth = 20;

export interface ProgressLine {
  /** For whatever else is written meanwhile: the line makes way for it. */
  readonly stderr: NodeJS.WritableStream;
  /** From here on shows what `line` says. */
  show(line: () => string): void;
  /** Takes the line away. */
  end(): void;
}

/** `stderr` is a terminal. */
export function progressLine(stderr: NodeJS.WritableStream): ProgressLine {
  let timer: NodeJS.Timeout | undefined;
  let drawn = false;
  const erase = () => {
    if (!drawn) return;
    write(eraseLine);
    drawn = false;
  };
  const write = stderr.write.bind(stderr) as (...args: readonly unknown[]) => boolean; // both of its forms are passed on as they came
  const aside = {
    write: (...args: readonly unknown[]) => {
      erase();
      return write(...args);
    },
  };
  return {
    stderr: Object.assign(Object.create(stderr) as NodeJS.WritableStream, aside), // the same stream, but for how it is written to
    show(line) {
      const startedAt = performance.now();
      timer = setInterval(() => {
        if (performance.now() - startedAt < firstMs) return;
        erase();
        write(line());
        drawn = true;
      }, everyMs).unref();
    },
    end() {
      clearInterval(timer);
      erase();
    },
  };
}

/** `[##########----------]  50 %` */
export function bar(part: number, whole: number): string {
  const share = whole <= 0 ? 0 : Math.min(part / whole, 1);
  const full = Math.floor(share * barWidth);
  return `[${"#".repeat(full)}${"-".repeat(barWidth - full)}] ${String(Math.floor(share * 100)).padStart(3)} %`;
}
