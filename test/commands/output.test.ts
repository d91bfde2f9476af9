// What people and programs get to read: tables, TSV, JSON, and nothing that a terminal would obey.

import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { CommandIo } from "../../src/commands/output.ts";
import { note, printRows, printValue, write } from "../../src/commands/output.ts";
import { cut, displayWidth, visible, visibleJson } from "../../src/service/visible.ts";
import { memoryIo } from "./db-outbox/harness.ts";

const plain = { json: false, ndjson: false };
const evil = "\u001b[2J\u009b31m\u0007\r\n\t\u202egnp.exe\u2066\u200b\u2028\ufeff\u{e0041}\u007f";
// Everything that moves the cursor, colours, reorders or hides.
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/u;

describe("a table on a terminal", () => {
  it("lines its columns up, numbers to the right", async () => {
    const io = memoryIo({ tty: true });
    await printRows(io, [{ type: "email.send", attempts: 3 }, { type: "pdf", attempts: 12 }], plain);
    expect(io.out()).toBe("type        attempts\nemail.send         3\npdf               12\n");
  });

  it("keeps every line within the terminal, whatever its width, and says which columns had no room", async () => {
    const row = { id: "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61", status: "error", payload: { text: "x".repeat(500) }, createdAt: new Date(0), owner: "漢字".repeat(40) };
    for (const columns of [40, 60, 80, 120, 200]) {
      const io = memoryIo({ tty: true, columns });
      await printRows(io, [row, row], plain);
      for (const line of io.out().trimEnd().split("\n")) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
      if (columns === 60) expect(io.err()).toMatch(/Not shown for lack of width: .*createdAt/);
      if (columns === 200) expect(io.err()).toBe("");
    }
  });

  it("never cuts an id or a time, and marks what it cuts with an ellipsis", async () => {
    const io = memoryIo({ tty: true, columns: 80 });
    await printRows(io, [{ id: "01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61", payload: { text: "x".repeat(500) } }], plain);
    expect(io.out()).toContain("01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61");
    expect(io.out()).toContain('{"text":"xxx');
    expect(io.out()).toContain("…");
  });

  it("lines up wide characters and emoji by the columns they take", async () => {
    const io = memoryIo({ tty: true });
    await printRows(io, [{ name: "漢字", n: "a" }, { name: "👩‍👩‍👧", n: "b" }, { name: "éé", n: "c" }], plain);
    expect(io.out()).toBe("name  n\n漢字  a\n👩‍👩‍👧    b\néé    c\n");
  });

  it("prints a megabyte of text in a cell without measuring all of it", async () => {
    const io = memoryIo({ tty: true });
    const started = performance.now();
    await printRows(io, [{ id: 1, payload: "字".repeat(350_000) }], plain);
    expect(performance.now() - started).toBeLessThan(2000);
    expect(displayWidth(io.out().trimEnd().split("\n")[1]!)).toBeLessThanOrEqual(80);
  });
});

describe("piped output", () => {
  it("is TSV with a header, one line a row, whatever the data holds", async () => {
    const io = memoryIo();
    await printRows(io, [{ id: "a", text: "one\ttwo\nthree", at: new Date(0), big: 2n ** 60n, none: null, json: { a: [1, "x\ny"] } }], plain);
    expect(io.out()).toBe('id\ttext\tat\tbig\tnone\tjson\na\tone\\ttwo\\nthree\t1970-01-01T00:00:00.000Z\t1152921504606846976\t\t{"a":[1,"x\\ny"]}\n');
  });

  it("takes the columns of all rows, not only of the first", async () => {
    const io = memoryIo();
    await printRows(io, [{ a: 1 }, { a: 2, b: 3 }], plain);
    expect(io.out()).toBe("a\tb\n1\t\n2\t3\n");
  });

  it("prints nothing for no rows, and says so on stderr", async () => {
    const io = memoryIo();
    await printRows(io, [], plain);
    expect([io.out(), io.err()]).toEqual(["", "No rows.\n"]);
  });
});

describe("JSON", () => {
  it("is exactly one document, also for no rows and for one value", async () => {
    for (const [tty, rows] of [[true, [{ a: 1n, at: new Date(0) }]], [false, [{ a: 1n, at: new Date(0) }]]] as const) {
      const io = memoryIo({ tty });
      await printRows(io, rows, { json: true, ndjson: false });
      expect(JSON.parse(io.out())).toEqual([{ a: "1", at: "1970-01-01T00:00:00.000Z" }]);
    }
    const empty = memoryIo();
    await printRows(empty, [], { json: true, ndjson: false });
    expect([empty.out(), empty.err()]).toEqual(["[]\n", ""]);
    const value = memoryIo();
    await printValue(value, null, { json: true, ndjson: false });
    expect(value.out()).toBe("null\n");
  });

  it("as a stream is one document a line", async () => {
    const io = memoryIo();
    await printRows(io, [{ a: "x\ny" }, { a: 2 }], { json: false, ndjson: true });
    expect(io.out().trimEnd().split("\n").map((line) => JSON.parse(line) as unknown)).toEqual([{ a: "x\ny" }, { a: 2 }]);
  });

  it("is read back as the same text, however hostile the text", () => {
    expect(JSON.parse(visibleJson({ [evil]: [evil, "漢字 é 👩‍👩‍👧"] }, 2))).toEqual({ [evil]: [evil, "漢字 é 👩‍👩‍👧"] });
  });
});

describe("text from data", () => {
  it("never reaches the terminal as a command: not as a cell, a name, a value or JSON", async () => {
    for (const tty of [true, false]) {
      for (const format of [plain, { json: true, ndjson: false }, { json: false, ndjson: true }]) {
        const io = memoryIo({ tty, columns: 400 });
        await printRows(io, [{ [evil]: evil, nested: { [evil]: [evil] } }], format);
        await printValue(io, evil, format);
        expect(io.out()).not.toMatch(obeyed);
        expect(io.out()).toContain("\\u001b[2J");
        expect(io.out()).toContain("\\u202e");
      }
    }
  });

  it("shows what was there as an escape, and leaves every script readable", () => {
    expect(visible("\u001b[31mred\nnext\ttab\u{e0041}")).toBe("\\u001b[31mred\\nnext\\ttab\\udb40\\udc41");
    for (const text of ["naïve", "漢字", "नमस्ते", "می‌خواهم", "👩‍👩‍👧", "a\\b"]) expect(visible(text)).toBe(text);
  });

  it("is cut at whole characters", () => {
    expect(cut("漢字漢字", 5)).toBe("漢字…");
    expect(cut("漢字漢字", 4)).toBe("漢…");
    expect(cut("👩‍👩‍👧👩‍👩‍👧", 3)).toBe("👩‍👩‍👧…");
    expect(cut("short", 5)).toBe("short");
  });
});

describe("the streams", () => {
  it("get notices on stderr, and none when quiet", async () => {
    const io = memoryIo();
    await note(io, {}, "one");
    await note(io, { quiet: true }, "two");
    expect([io.out(), io.err()]).toEqual(["", "one\n"]);
  });

  it("may end early, as with head: that is no error. A full disk is one", async () => {
    const failing = (code: string): CommandIo["stdout"] => {
      const stream = new Writable({
        write: (_chunk, _encoding, done) => {
          done(Object.assign(new Error(code), { code }));
        },
      });
      return stream.on("error", () => undefined); // as the process has it; what counts is what write() makes of it
    };
    await expect(write(failing("EPIPE"), "text")).resolves.toBeUndefined();
    await expect(write(failing("ENOSPC"), "text")).rejects.toThrow("ENOSPC");
  });
});
