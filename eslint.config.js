// The habits that a machine can check, and the direction of imports:
// cli.ts, scripts -> commands -> service -> http, handlers -> outbox -> node:
import { importX } from "eslint-plugin-import-x";
import tseslint from "typescript-eslint";

const oneWay = (target, ...from) => ({
  target: `./src/${target}`,
  from: from.map((folder) => `./src/${folder}`),
  message: "Imports run one way: commands -> service -> http, handlers -> outbox.",
});

export default tseslint.config(
  { ignores: ["generated/", "dist/", "var/", "coverage/"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] } } },
    plugins: { "import-x": importX },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: "only-allowed-literals" }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-empty": "error",
      "import-x/no-cycle": "error",
      "import-x/no-restricted-paths": [
        "error",
        {
          basePath: import.meta.dirname,
          zones: [
            oneWay("outbox", "handlers", "http", "service", "commands"),
            oneWay("handlers", "http", "service", "commands"),
            oneWay("http", "handlers", "service", "commands"),
            oneWay("service", "commands"),
          ],
        },
      ],
    },
  },
  {
    files: ["src/outbox/**"],
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: [{ regex: "^(?!node:|\\.)", message: "The core imports node: and itself, nothing else." }] },
      ],
    },
  },
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
  { files: ["eslint.config.js"], ...tseslint.configs.disableTypeChecked },
);
