// What the program knows to be secret is taken out of the text of a failure. The run with everything in it: canaries.test.ts.
import { describe, expect, it } from "vitest";
import { failureOf } from "../../src/outbox/failure.ts";
import { concealing, passwordOf } from "../../src/service/conceal.ts";

const conceal = concealing(["hunter2-hunter2", 'odd"<&>\\secret']);

describe("a secret in the text of a failure", () => {
  it("is taken out in every spelling, and the rest stays", () => {
    const odd = 'odd"<&>\\secret';
    for (const told of [odd, JSON.stringify(odd), JSON.stringify({ a: JSON.stringify(odd) }), encodeURIComponent(odd), Buffer.from(odd).toString("base64"), "odd&quot;&lt;&amp;&gt;\\secret"]) {
      expect(conceal(`before ${told} after`)).toMatch(/^before .*\[redacted\].* after$/);
      expect(conceal(told)).not.toMatch(/secret|c2VjcmV0/);
    }
    expect(conceal("nothing of it")).toBe("nothing of it");
  });

  it("is taken out before the text is cut, so that no half of it is left", () => {
    for (let before = 8 * 1024 - 30; before < 8 * 1024; before += 1) expect(failureOf(new Error(`${"x".repeat(before)}hunter2-hunter2`), conceal).message).not.toContain("hunter2");
    expect(failureOf(new Error(`${"x".repeat(64 * 1024 - 9)}hunter2-hunter2`), conceal).message).not.toContain("hunter2");
  });

  it("is found in a payload by the name that it stands under, at any depth, and in what was thrown", () => {
    const payload = { card: { holder: "Ada Lovelace", number: "4111-1111-1111-1111" }, list: [{ apiKey: "key-of-the-payload" }], plain: "in plain sight", pin: 1_234_567 };
    const told = "Ada Lovelace 4111-1111-1111-1111 key-of-the-payload in plain sight 1234567";
    expect(conceal(told, payload)).toBe("[redacted] [redacted] [redacted] in plain sight [redacted]");
    const { message } = failureOf({ config: { headers: { Authorization: "Bearer of-the-app-itself" } }, status: 401 }, conceal);
    expect(message).toContain("401");
    expect(message).not.toContain("of-the-app");
  });

  it("that is too short to be told from a word, or is the user's name as well, is left alone", () => {
    expect(concealing(["abc"])("abcdef")).toBe("abcdef");
    expect(passwordOf("postgresql://postgres:postgres@db/postgres")).toEqual([]);
    expect(passwordOf("postgresql://ada:p%40ssword@db/app")).toEqual(["p%40ssword", "p@ssword"]);
  });
});

describe("whatever is thrown, and however large the payload", () => {
  it("there is an answer, without a getter being called", () => {
    const circular: Record<string, unknown> = { token: "token-of-the-circle" };
    circular.self = circular;
    const trap = { get password() { throw new Error("a getter was called"); } };
    const proxy = new Proxy({}, { ownKeys: () => { throw new Error("no keys"); } });
    expect(failureOf(circular, conceal).message).not.toContain("of-the-circle");
    for (const odd of [trap, proxy, null, undefined, Symbol("s"), 7n, Object.freeze({ secret: Object.freeze(["a-frozen-secret"]) })]) expect(failureOf(odd, conceal).message).not.toMatch(/a-frozen-secret|a getter was called/);
  });

  it("it comes soon", () => {
    const payload = { password: "p".repeat(1_000_000), tokens: Array.from({ length: 50_000 }, (_, n) => `token-number-${n}`) };
    const startedAt = performance.now();
    failureOf(new Error("e".repeat(5_000_000)), (text, ...from) => conceal(text, payload, ...from));
    expect(performance.now() - startedAt).toBeLessThan(3000);
  });
});
