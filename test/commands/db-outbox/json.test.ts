// The JSON argument: where it may come from, and how a mistake in it is shown.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseJson } from "../../../src/commands/db-outbox/parse-json.ts";
import { readInput } from "../../../src/commands/db-outbox/read-input.ts";
import { findProblem } from "../../../src/commands/db-outbox/scan-json.ts";
import { memoryIo } from "./harness.ts";

function refusal(text: string, columns = 80): string {
  try {
    parseJson(text, columns);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

/** The character that the caret stands under. */
function underCaret(message: string): string {
  const [, line = "", caret = ""] = message.split("\n");
  return line[caret.indexOf("^")] ?? "";
}

describe("a mistake in the JSON", () => {
  it("is shown with line, column and a caret under the place", () => {
    expect(refusal(`{"where":{"status":"error"},"take":5,}`)).toBe(
      'The JSON is wrong at line 1, column 38: expected a name in double quotes, got }.\n  {"where":{"status":"error"},"take":5,}\n                                       ^',
    );
  });

  it.each([
    ["{'take':5}", 1, 2, "'"],
    ['{"take" 5}', 1, 9, "5"],
    ['{"take":05}', 1, 10, "5"],
    ['{"take":+5}', 1, 9, "+"],
    ['{"take":5', 1, 10, ""],
    ['{"take":undefined}', 1, 9, "u"],
    ['{"a":[1 2]}', 1, 9, "2"],
    ['{"a":[1,]}', 1, 9, "]"],
    ['{"a":"x}', 1, 6, '"'],
    ['{"a":"\\x"}', 1, 7, "\\"],
    ['{"a":"tab\there"}', 1, 10, "\\"],
    ['{"a":1} {"b":2}', 1, 9, "{"],
    ["", 1, 1, ""],
    ["   ", 1, 4, ""],
    ['{\n  "take": 5\n  "skip": 1\n}', 3, 3, '"'],
    ["// comment\n{}", 1, 1, "/"],
    ["{take:5}", 1, 2, "t"],
    ["{\u00a0}", 1, 2, "\u00a0"],
    ['{"take":NaN}', 1, 9, "N"],
    // Numbers that JavaScript would have made others of: …992, and Infinity, which is written as null.
    ['{"id":9007199254740993}', 1, 7, "9"],
    ['{"n":[1,-1e400]}', 1, 9, "-"],
  ])("%j is placed at line %i, column %i", (text, line, column, char) => {
    const message = refusal(text);
    expect(message).toContain(`line ${line}, column ${column}:`);
    expect(underCaret(message)).toBe(char);
  });

  it("stands under its place in long lines too, and the line is cut to the terminal", () => {
    const text = `{"where":{"id":{"in":[${'"01939a3c-6c5e-7cc3-9fa4-0d2b8e5f7a61",'.repeat(200)}oops]}}}`;
    for (const columns of [40, 80, 200]) {
      const message = refusal(text, columns);
      expect(underCaret(message)).toBe("o");
      for (const line of message.split("\n").slice(1)) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  it("is placed rightly after wide characters, and control characters are shown, not sent", () => {
    const wide = refusal('{"漢字":oops}').split("\n");
    // Each of the two takes two columns.
    expect(wide[2]).toBe(`  ${" ".repeat(8)}^`);
    expect(refusal('{"a":\u001b[31m}')).toContain("got \\u001b");
    expect(refusal('{"a":\u001b[31m}')).not.toContain("\u001b");
  });

  it("comes with a hint when the shell has eaten the quotes", () => {
    expect(refusal("{where:{status:error}}")).toContain("the shell may have eaten them");
    expect(refusal('{"where":oops}')).not.toContain("eaten");
  });

  it("is also a name given twice, a NUL, half a surrogate pair, and nesting without end", () => {
    expect(refusal('{"where":{"status":"done","status":"error"}}')).toContain('the name "status" is here twice');
    expect(refusal('{"a":{"x":1},"b":{"x":1}}')).toBe("");
    expect(refusal('{"a":"x\\u0000"}')).toContain("NUL");
    expect(refusal('{"a":"\\ud800"}')).toContain("surrogate");
    expect(refusal('{"a":"\\ud83d\\ude00"}')).toBe("");
    expect(refusal("[".repeat(33))).toContain("nested deeper than 32 levels");
    expect(refusal("[".repeat(1_000_000))).toContain("nested deeper than 32 levels");
    expect(refusal("[".repeat(32) + "]".repeat(32))).toBe("");
  });

  it("is found exactly where JSON.parse finds one, in thousands of damaged documents", () => {
    let seed = 20_240_101;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    const whole = '{"where":{"status":{"in":["done","err\\u00f6r\\n"]},"attempts":{"lt":-3.5e+2}},"take":10, "x":[true,false,null,{}] }';
    const alphabet = '{}[]",:\\ntf0123456789.eE+- \tu';
    let damaged = 0;
    for (let round = 0; round < 5000; round += 1) {
      const at = random(whole.length);
      const piece = random(3) === 0 ? "" : (alphabet[random(alphabet.length)] ?? "");
      const text = whole.slice(0, at) + piece + whole.slice(at + random(3));
      let parses = true;
      try {
        JSON.parse(text);
      } catch {
        parses = false;
        damaged += 1;
      }
      const problem = findProblem(text);
      // What JSON.parse takes and we do not is only what we refuse on purpose.
      if (parses) expect(problem === null || /twice|NUL|surrogate/.test(problem.message), text).toBe(true);
      else expect(problem, text).not.toBeNull();
    }
    expect(damaged).toBeGreaterThan(1000);
  });

  it("in a text of a megabyte is found within a second", () => {
    const started = performance.now();
    expect(refusal(`{"a":"${"x\\n".repeat(330_000)}",}`)).toContain("line 1, column 99");
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe("the JSON comes from", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "db-outbox-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const read = (input: string | undefined, stdin: string | Buffer = "", noInput = false, tty = false): Promise<string> => readInput(input, memoryIo({ stdin, tty }), noInput);

  it("the argument, stdin by -, or a file by @; absent it is {}", async () => {
    await writeFile(join(folder, "request.json"), '\ufeff{"take":3}');
    expect(await read('{"take":1}')).toBe('{"take":1}');
    expect(await read("-", '{"take":2}')).toBe('{"take":2}');
    expect(await read(`@${join(folder, "request.json")}`)).toBe('{"take":3}');
    expect(await read(undefined)).toBe("{}");
  });

  it("at most a megabyte of it, from wherever", async () => {
    const large = " ".repeat(1024 * 1024 + 1);
    await writeFile(join(folder, "large.json"), large);
    for (const [input, stdin] of [[large], ["-", large], [`@${join(folder, "large.json")}`]] as const) {
      await expect(read(input, stdin)).rejects.toThrow("at most 1048576 bytes");
    }
    await expect(read("-", " ".repeat(1024 * 1024))).resolves.toHaveLength(1024 * 1024);
  });

  it("a file that can be read, as UTF-8, or the sentence says what is wrong", async () => {
    await writeFile(join(folder, "latin1.json"), Buffer.from([0x7b, 0xe9, 0x7d]));
    await expect(read(`@${join(folder, "missing.json")}`)).rejects.toThrow(/missing\.json: ENOENT/);
    await expect(read(`@${folder}`)).rejects.toThrow("EISDIR");
    await expect(read(`@${join(folder, "latin1.json")}`)).rejects.toThrow("UTF-8");
    await expect(read("@")).rejects.toThrow("file name");
    await expect(read("-", "", true, true)).rejects.toThrow("--no-input");
  });
});
