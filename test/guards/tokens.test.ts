// Who almost has a token has none.

import { expect, it } from "vitest";
import { tokenHolders } from "../../src/http/token-holders.ts";

const token = "Zk3.run-token_with-40-characters+of/it~0";

it.each([
  ["its beginning", token.slice(0, -1)],
  ["the 32 characters that a token must have", token.slice(0, 32)],
  ["its end", token.slice(1)],
  ["it and something more", `${token}0`],
  ["it twice", token + token],
  ["it with another last character", `${token.slice(0, -1)}1`],
  ["it with another first character", `Y${token.slice(1)}`],
  ["it in capitals", token.toUpperCase()],
  ["nothing", ""],
])("a token is compared as a whole: %s lets nobody in", (_what, almost) => {
  const holderOf = tokenHolders({ run: token });
  expect(holderOf(token)).toMatchObject({ name: "run" });
  expect(holderOf(almost)).toBeNull();
});
