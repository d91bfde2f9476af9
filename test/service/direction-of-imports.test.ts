// Lint keeps the layers apart; this shows that it would notice.
import { ESLint } from "eslint";
import { expect, it } from "vitest";
import { root } from "../support/cli.ts";

it.each([
  ["src/outbox/pump.ts", `import pg from "pg"; export default pg;`, "The core imports node: and itself"],
  ["src/outbox/store/claim.ts", `import { x } from "../../service/database.ts"; export default x;`, "Imports run one way"],
  ["src/handlers/email-send.ts", `import { x } from "../service/config.ts"; export default x;`, "Imports run one way"],
  ["src/handlers/email/smtp.ts", `import { x } from "../../commands/index.ts"; export default x;`, "Imports run one way"],
  ["src/handlers/email-send.ts", `import { x } from "./data-sync.ts"; export default x;`, "A handler does not import another handler"],
  ["src/service/service.ts", `import { x } from "../commands/index.ts"; export default x;`, "Imports run one way"],
  ["src/service/service.ts", `import { x } from "../testing/index.ts"; export default x;`, "Imports run one way"],
  ["src/service/service.ts", `export default process.env.HOME;`, "the only reader of the environment"],
])("%s may not say: %s", async (filePath, code, sentence) => {
  const [result] = await new ESLint({ cwd: root }).lintText(code, { filePath: `${root}/${filePath}` });
  expect(result?.messages.map(({ message }) => message).join("\n")).toContain(sentence);
});
