import { describe, expect, it } from "vitest";
import { PayloadError, PayloadTooLargeError } from "../../src/index.ts";
import { maxPayloadBytes, toJson } from "../../src/outbox/payload.ts";

const circular: Record<string, unknown> = { name: "x" };
circular.self = circular;
let deep: unknown = 1;
for (let level = 0; level < 10_000; level += 1) deep = [deep];

describe("what JSON or Postgres cannot carry is refused with its path", () => {
  it.each([
    ["undefined", undefined, "payload is undefined"],
    ["a Date", { at: new Date(0) }, "payload.at is a Date"],
    ["a BigInt", { ids: [1, 2n] }, "payload.ids[1] is a BigInt"],
    ["undefined in an array", { a: [1, undefined] }, "payload.a[1] is undefined"],
    ["a hole in an array", { a: [1, , 3] }, "payload.a[1] is undefined"],  
    ["NaN", { n: Number.NaN }, "payload.n is NaN"],
    ["Infinity", [Number.POSITIVE_INFINITY], "payload[0] is Infinity"],
    ["a function", { f: () => 1 }, "payload.f is a function"],
    ["a symbol", { s: Symbol("x") }, "payload.s is a symbol"],
    ["a Map", { m: new Map() }, "payload.m is a Map"],
    ["a Buffer", { b: Buffer.from("x") }, "payload.b is a Buffer"],
    ["a class instance", { u: new URL("http://x.example") }, "payload.u is a URL"],
    ["a toJSON method", { toJSON: () => 1 }, "payload has a toJSON method"],
    ["a circle", circular, "payload.self contains itself"],
    ["10,000 levels", deep, "is nested deeper than 200 levels"],
    ["a NUL", { a: { "b c": "x\u0000y" } }, 'payload.a["b c"] contains a NUL'],
    ["a NUL in a key", { "a\u0000": 1 }, 'the key "a\\u0000" of payload contains a NUL'],
    ["half a surrogate pair", { a: "\ud800" }, "payload.a contains half of a surrogate pair"],
  ])("%s", (_, payload, sentence) => {
    expect(() => toJson("t", payload)).toThrow(PayloadError);
    expect(() => toJson("t", payload)).toThrow(sentence);
  });
});

describe("what JSON can carry is kept as it is", () => {
  it.each([
    [{ a: [1, "two", null, true, { b: -0.5 }], emoji: "😀 Ł ü", quote: '"\\' }],
    ["a text"],
    [[]],
    [null],
    [JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}')],
    [Object.assign(Object.create(null), { bare: 1 })],
  ])("%j", (payload) => {
    expect(JSON.parse(toJson("t", payload))).toEqual(payload);
    expect(toJson("t", payload)).toBe(JSON.stringify(payload));
  });

  it("the same object twice is no circle", () => {
    const shared = { x: 1 };
    expect(toJson("t", { a: shared, b: [shared] })).toBe('{"a":{"x":1},"b":[{"x":1}]}');
  });

  it("a property that is undefined is left out", () => {
    expect(toJson("t", { a: undefined, b: 1 })).toBe('{"b":1}');
  });
});

it("a payload of exactly 1 MB is taken, one byte more is refused with both numbers", () => {
  const fits = "x".repeat(maxPayloadBytes - 2); // and two quotes
  expect(toJson("t", fits)).toHaveLength(maxPayloadBytes);
  expect(() => toJson("t", `${fits}x`)).toThrow(PayloadTooLargeError);
  expect(() => toJson("t", `${fits}x`)).toThrow("at most 1048576 bytes as JSON, got 1048577");
  expect(() => toJson("t", "ü".repeat(maxPayloadBytes / 2))).toThrow("got 1048578");
});
