// Numbers as people write them, which JavaScript may round without a word: 9007199254740993 becomes …992, which may be
// another customer's id, and 1e400 becomes Infinity, which JSON writes as null.

/** Whether the number that JavaScript makes of `text`, a number as JSON has it, is the one that is written there. */
export function isExactNumber(text: string): boolean {
  if (text.length <= 15 && !/e/i.test(text)) return true;
  const number = Number(text);
  return Number.isFinite(number) && decimalOf(String(number)) === decimalOf(text);
}

/** Digits without zeros at their ends, and the power of ten they stand for: "15e2" of 1500 and of 1.5e3. */
function decimalOf(text: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  let end = digits.length;
  while (digits[end - 1] === "0") end -= 1; // a regular expression would begin anew at every zero
  const kept = digits.slice(0, end);
  return kept === "" ? "0" : `${sign}${kept}e${Number(exponent) - fraction.length + digits.length - kept.length}`;
}
