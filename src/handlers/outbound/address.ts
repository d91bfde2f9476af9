// Which addresses a job may be made to talk to: public ones only, because the target's name or URL may come from a user.
// Next: target.ts (from a URL to addresses that were checked).

import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

type Address = ReturnType<typeof ipaddr.parse>;

/** All of the IPv6 internet; what lies outside is local, or stands for an IPv4 address (::127.0.0.1). */
const globalIPv6 = ipaddr.IPv6.parseCIDR("2000::/3");
/** Addresses of other networks by which a NAT64 gateway is told the IPv4 address to go to. */
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");
/** Answers virtual machines about themselves, like 169.254.169.254, but has a public number. */
const azureHost = "168.63.129.16";

/** Why this address must not be connected to, for example "loopback"; null when it is a public one. */
export function refusalOf(address: string): string | null {
  // What cannot be parsed cannot be judged either; nor what has two readings, such as 0177.0.0.1.
  if (isIP(address) === 0 || !ipaddr.isValid(address)) return "not an IP address";
  if (/^::\d+\./.test(address)) return "not global"; // ipaddr.js would read ::ffff:8.8.8.8 where Node reads ::808:808
  const reached = reachedBy(ipaddr.parse(address));
  if (reached.toString() === azureHost) return "metadata";
  const range = reached.range();
  if (range !== "unicast") return range;
  if (isIPv6(reached) && !reached.match(globalIPv6)) return "not global";
  return null;
}

/** The address at which a packet sent to `address` comes out: an IPv4 address written as IPv6 is still that address. */
function reachedBy(address: Address): Address {
  if (!isIPv6(address)) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  if (address.match(nat64)) return ipaddr.fromByteArray(address.toByteArray().slice(12));
  return address;
}

function isIPv6(address: Address): address is ipaddr.IPv6 {
  return address.kind() === "ipv6";
}
