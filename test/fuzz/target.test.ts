// Targets of outbound requests: whatever the URL and whatever a resolver says, no connection is tried but to a public
// address. What is public is said here once more, by the numbers of IANA's registries and not by a library.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { isIPv4, isIPv6 } from "node:net";
import type { Socket } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { refusalOf } from "../../src/handlers/outbound/address.ts";
import { request } from "../../src/handlers/outbound/request.ts";
import { addressesOf, parseTarget } from "../../src/handlers/outbound/target.ts";
import { webhookPayload } from "../../src/handlers/webhook/payload.ts";
import { FinalError } from "../../src/outbox/errors.ts";
import { fuzz, fuzzTimeoutMs, oddText, oddValue, outcomeOf, soupOf } from "./support.ts";

const timeout = fuzzTimeoutMs;

/** Sixteen bytes; an IPv4 address as the last four of ::ffff:0:0/96. A zone says by which interface, and not where to. */
function bytesOf(written: string): readonly number[] | null {
  if (!isIPv4(written) && !isIPv6(written)) return null;
  const [address = ""] = written.split("%");
  if (isIPv4(address)) return [...Array.from({ length: 10 }, () => 0), 255, 255, ...address.split(".").map(Number)];
  const dotted = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => [0, 2].map((at) => (Number(parts[at]) * 256 + Number(parts[at + 1])).toString(16)).join(":"));
  const [head, tail] = dotted.split("::").map((side) => (side === "" ? [] : side.split(":"))) as [string[], string[]?];
  const groups = tail === undefined ? head : head.concat(Array.from({ length: 8 - head.length - tail.length }, () => "0"), tail);
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
}

const within = (bytes: readonly number[], prefix: readonly number[], bits: number): boolean => {
  for (let bit = 0; bit < bits; bit += 1) if ((((bytes[bit >> 3] ?? 0) ^ (prefix[bit >> 3] ?? 0)) >> (7 - (bit & 7))) & 1) return false;
  return true;
};
const v4 = (cidr: string): [readonly number[], number] => [cidr.split("/")[0]!.split(".").map(Number), Number(cidr.split("/")[1])];
const closed4 = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"].map(v4);
const closed6: readonly [readonly number[], number][] = [
  [[0x20, 0x01, 0x00, 0x00], 32], // Teredo
  [[0x20, 0x01, 0x0d, 0xb8], 32], // documentation
  [[0x20, 0x02], 16], // 6to4
  [[0x3f, 0xff, 0x00], 20], // documentation
];

function isPublic(address: string): boolean {
  const bytes = bytesOf(address);
  if (bytes === null) return false;
  const mapped = within(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255], 96) || within(bytes, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], 96);
  if (mapped) return !closed4.some(([prefix, bits]) => within(bytes.slice(12), prefix, bits));
  return within(bytes, [0x20], 3) && !closed6.some(([prefix, bits]) => within(bytes, prefix, bits));
}

// Every socket of this process, before it is connected to anything.
let tried: { readonly addresses: string[]; readonly stop: AbortController };
const watch = (message: unknown) => {
  const { socket } = message as { socket: Socket }; // what Node documents for this channel
  const { addresses, stop } = tried;
  socket.on("connectionAttempt", (address: string) => {
    addresses.push(address);
    stop.abort(new Error("it tried to connect"));
  });
};
beforeAll(() => subscribe("net.client.socket", watch));
afterAll(() => unsubscribe("net.client.socket", watch));

const byte = fc.oneof(fc.nat(255), fc.constantFrom(0, 10, 127, 169, 172, 192, 168, 254, 255, 100, 198, 224));
const quad = fc.oneof({ weight: 2, arbitrary: fc.tuple(byte, byte, byte, byte) }, { weight: 2, arbitrary: fc.constantFrom<[number, number, number, number]>([127, 0, 0, 1], [10, 0, 0, 1], [169, 254, 169, 254], [192, 168, 1, 1], [172, 31, 0, 1], [100, 64, 0, 1], [168, 63, 129, 16], [0, 0, 0, 0], [8, 8, 8, 8], [93, 184, 215, 14]) });
const group = fc.oneof(fc.nat(65_535), fc.constantFrom(0, 0x2001, 0xfe80, 0xfc00, 0x64, 0xff9b, 0xffff, 0x2002, 0xdb8)).map((number) => number.toString(16));
const disguise = (digits: string): fc.Arbitrary<string> => fc.constantFrom(digits, digits.replaceAll(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))), digits.replaceAll(".", "。"), digits.replaceAll(/\d/g, (digit) => String.fromCodePoint(0x1d7ce + Number(digit))), digits.replaceAll(/[\da-f]/g, (each) => `%${each.charCodeAt(0).toString(16)}`), `${digits}.`, digits.toUpperCase());
const radix = (value: number) => fc.constantFrom(String(value), `0x${value.toString(16)}`, `0${value.toString(8)}`, `0000${value.toString(8)}`, `0X000${value.toString(16)}`);
const host4 = quad.chain(([a, b, c, d]) => fc.oneof(fc.tuple(radix(a), radix(b), radix(c), radix(d)).map((parts) => parts.join(".")), radix(((a * 256 + b) * 256 + c) * 256 + d), fc.tuple(radix(a), radix((b * 256 + c) * 256 + d)).map((parts) => parts.join(".")), fc.tuple(radix(a), radix(b), radix(c * 256 + d)).map((parts) => parts.join(".")))).chain(disguise);
const host6 = fc.oneof(
  fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.join(":")),
  fc.tuple(fc.array(group, { maxLength: 3 }), fc.array(group, { maxLength: 3 })).map(([head, tail]) => `${head.join(":")}::${tail.join(":")}`),
  fc.tuple(fc.constantFrom("::", "::ffff:", "::FFFF:", "64:ff9b::", "64:ff9b:1::", "::ffff:0:", "2002:", "2001:0:", "fe80::5efe:"), quad, fc.boolean()).map(([prefix, [a, b, c, d], asDots]) => `${prefix}${asDots ? `${a}.${b}.${c}.${d}` : `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`}`),
);
const zone = fc.constantFrom("", "", "", "%25eth0", "%lo", "%");
const name = fc.constantFrom("shop.example", "localhost.example", "xn--n3h.example", "☃.example", "a。example", "127.0.0.1.example", "metadata.google.internal");
const host = fc.oneof({ weight: 4, arbitrary: host4 }, { weight: 4, arbitrary: fc.tuple(host6, zone).map(([given, suffix]) => `[${given}${suffix}]`) }, { weight: 2, arbitrary: name }, { weight: 1, arbitrary: soupOf(["127", ".", "0", "1", "[", "]", ":", "%", "x", "@", "/", "\\", "#", "?", "。", "①", "\t", "\n", " "]) });
const url = fc
  .tuple(fc.constantFrom("http://", "http://", "https://", "HTTP:\\\\", "http:/", "http:", "\thttp://", "ftp://", "file://", "//", ""), fc.constantFrom("", "", "", "@", "user:pw@", "example.com@", "%40", "8.8.8.8:80@"), host, fc.constantFrom("", "", ":80", ":0", ":65536", ":1@8.8.8.8"), fc.constantFrom("", "/", "/x?y#z", "\\@8.8.8.8/", "#@8.8.8.8/", "?@8.8.8.8/"))
  .map((parts) => parts.join(""));

const resolved = fc.array(fc.oneof(host6.map((address) => ({ address, family: 6 })), quad.map((parts) => ({ address: parts.join("."), family: 4 })), oddText.map((address) => ({ address, family: 4 })), fc.tuple(host6, zone).map(([given, suffix]) => ({ address: given + suffix, family: 6 }))), { maxLength: 3 });

it("no connection is tried but to a public address, however the URL is written and whatever its name resolves to", { timeout }, async () => {
  await fuzz(fc.tuple(url, resolved), 30, async ([given, addresses]) => {
    tried = { addresses: [], stop: new AbortController() };
    const error: unknown = await request({ resolve: () => Promise.resolve(addresses) }, { method: "POST", url: given, body: "x", timeoutMs: 5000, signal: tried.stop.signal }).then(() => null, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error); // no socket is let through
    expect([given, addresses, tried.addresses.filter((address) => !isPublic(address))]).toEqual([given, addresses, []]);
    expect(error instanceof Error && /^(Type|Range|Syntax)Error$/.test(error.name) ? error : null).toBeNull();
  });
});

it("an address that is accepted is public, and one in the public ranges is accepted", { timeout }, async () => {
  const address = fc.oneof(host6, quad.map((parts) => parts.join(".")), oddText, host4, fc.tuple(host6, zone).map((parts) => parts.join("")));
  await fuzz(address, 100, (given) => {
    const accepted = refusalOf(given) === null;
    if (accepted) expect([given, isPublic(given)]).toEqual([given, true]);
    // IANA keeps 2001::/23 for protocols, of which the oracle names but Teredo.
    const bytes = bytesOf(given);
    if (bytes !== null && isPublic(given) && !within(bytes, [0x20, 0x01], 23)) expect([given, accepted]).toEqual([given, true]);
  });
});

it("a URL is refused for good or is one of the web, without credentials; the contract of webhook.send takes no other", { timeout }, async () => {
  await fuzz(fc.oneof(url, oddText, soupOf(["http", "s", ":", "/", "@", "user", "hunter2pass", ".", "example.com", "#", "?"])), 100, async (given) => {
    const { value: target, refusal } = await outcomeOf(() => parseTarget(given, { allowPrivate: true }), (error) => error instanceof FinalError);
    expect(refusal?.message ?? "").not.toContain("hunter2pass@");
    const accepted = webhookPayload.safeParse({ url: given, event: "e", data: null }).success;
    if (given.length <= 2000) expect([given, accepted]).toEqual([given, target !== undefined]);
    if (target === undefined) return;
    expect([target.url.username, target.url.password, /^https?:$/.test(target.url.protocol)]).toEqual(["", "", true]);
    const found = await addressesOf(target, { allowPrivate: true, resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });
    expect(found.length).toBeGreaterThan(0);
  });
});

it("a payload of webhook.send of any kind is accepted or refused with its place", { timeout }, async () => {
  await fuzz(fc.record({ url: fc.oneof(url, oddValue), endpoint: oddValue, event: fc.oneof(oddText, oddValue), data: oddValue }, { requiredKeys: [] }), 100, (given) => {
    const parsed = webhookPayload.safeParse(given);
    if (parsed.success) expect(Number(parsed.data.url !== undefined) + Number(parsed.data.endpoint !== undefined)).toBe(1);
    else expect(parsed.error.issues.length).toBeGreaterThan(0);
  });
});
