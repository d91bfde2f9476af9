// The habits that a machine can check, and the direction of imports:
// cli.ts, scripts -> commands -> service -> http, handlers -> outbox -> node:      testing -> service, outbox
import tseslint from "typescript-eslint";

/** `files` of src/ must not import from these folders of src/. */
const mayNotImport = (files, folders, more = []) => ({
  files: [`src/${files}`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          { regex: `^(\\.\\./)+(${folders.join("|")})/`, message: "Imports run one way: commands -> service -> http, handlers -> outbox." },
          ...more,
        ],
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ["**/generated/", "bench/", "dist/", "var/", "coverage/"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js", "scripts/cli.js", "test/support/app/cli.js", "test/security/canary-app/cli.js", "test/support/replay-app/cli.js"] } } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: "only-allowed-literals" }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-empty": "error",
    },
  },
  mayNotImport("outbox/**", ["handlers", "http", "service", "commands", "testing"], [
    { regex: "^(?!node:|\\.)", message: "The core imports node: and itself, nothing else." },
  ]),
  mayNotImport("handlers/**", ["http", "service", "commands", "testing"]),
  mayNotImport("handlers/*.ts", ["http", "service", "commands", "testing"], [
    { regex: "^\\./[^/]+\\.ts$", message: "A handler does not import another handler: what they share stands in a folder beside them." },
  ]),
  mayNotImport("http/**", ["handlers", "service", "commands", "testing"]),
  mayNotImport("service/**", ["commands", "testing"]),
  mayNotImport("commands/**", ["testing"]),
  mayNotImport("*.ts", ["testing"], [{ regex: "^\\./testing/", message: "Production code does not load what is for tests." }]),
  mayNotImport("testing/**", ["handlers", "http", "commands"]),
  {
    files: ["src/**"],
    ignores: ["src/service/config.ts"],
    rules: {
      "no-restricted-properties": ["error", { object: "process", property: "env", message: "src/service/config.ts is the only reader of the environment." }],
    },
  },
  {
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
    },
  },
  {
    files: ["examples/**"],
    rules: {
      // node:test waits for its tests by itself.
      "@typescript-eslint/no-floating-promises": ["error", { allowForKnownSafeCalls: [{ from: "package", name: ["test", "before", "beforeEach", "after", "afterEach"], package: "node:test" }] }],
    },
  },
  { files: ["eslint.config.js", "scripts/cli.js", "test/support/app/cli.js", "test/security/canary-app/cli.js", "test/support/replay-app/cli.js"], ...tseslint.configs.disableTypeChecked },
);
