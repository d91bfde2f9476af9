// Where the JSON comes from: the argument itself, `-` for stdin, `@file` for a file. Bounded in size and in time.
// Next: parse-json.ts.

import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import type { CommandIo } from "../output.ts";
import { visible } from "../../service/visible.ts";
import { refuse } from "./refuse.ts";

const maxInputBytes = 1024 * 1024;
const readTimeoutMs = 60_000;

/** The text of the JSON argument; an argument that is absent is `{}`. */
export async function readInput(input: string | undefined, io: CommandIo, noInput: boolean): Promise<string> {
  if (input === undefined) return "{}";
  if (input === "-") {
    if (noInput && io.stdinIsTty) refuse('Expected JSON on stdin for "-", but stdin is the terminal and --no-input forbids to wait for it.');
    return readAll(io.stdin, "stdin");
  }
  if (input.startsWith("@")) {
    const path = input.slice(1);
    if (path === "") refuse('Expected a file name after "@", as in @request.json.');
    return readAll(createReadStream(path), `the file ${visible(path)}`);
  }
  if (Buffer.byteLength(input) > maxInputBytes) refuse(tooLarge("the argument"));
  return input;
}

async function readAll(stream: Readable, name: string): Promise<string> {
  // A pipe that nobody closes would hold the command for ever.
  const tooLate = setTimeout(() => {
    stream.destroy(new Error(`it did not end within ${readTimeoutMs / 1000} s`));
  }, readTimeoutMs);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer | string>) {
      // Bytes, or text when somebody has set an encoding on stdin.
      const buffer = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      bytes += buffer.length;
      if (bytes > maxInputBytes) break;
      chunks.push(buffer);
    }
  } catch (error) {
    refuse(`Could not read the JSON from ${name}: ${visible(error instanceof Error ? error.message : String(error))}.`);
  } finally {
    clearTimeout(tooLate);
  }
  if (bytes > maxInputBytes) refuse(tooLarge(name));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    return refuse(`Expected ${name} to be UTF-8 text, got bytes that are not.`);
  }
}

function tooLarge(name: string): string {
  return `Expected at most ${maxInputBytes} bytes of JSON, got more from ${name}.`;
}
