import jsdoc from "eslint-plugin-jsdoc";

// what ruff's D rules are for Python: everything exported has a docstring that opens with an imperative sentence
const EXPORTED = [
  "ExportNamedDeclaration > FunctionDeclaration",
  "ExportNamedDeclaration > ClassDeclaration",
  "ExportNamedDeclaration > VariableDeclaration:has(> VariableDeclarator > ArrowFunctionExpression)",
  'ExportNamedDeclaration > ClassDeclaration > ClassBody > MethodDefinition[kind="method"][computed=false]' +
    '[key.type="Identifier"]',
];
const NOT_IMPERATIVE = "An?|The|This|That|It|What|Which|Who|Where|When|Whether|How|Why|All|Every|One|No|Only|\\w+ing";

const FOLDERS = ["shared", "on_device", "background", "page", "ui"]; // each imports only itself and those before it

export default [
  { ignores: ["**/vendor/", "**/node_modules/"] },
  { files: ["**/*.js"], rules: { "max-len": ["error", 120] } },
  {
    files: ["extension/**/*.js"],
    plugins: { jsdoc },
    settings: { jsdoc: { mode: "typescript" } },
    rules: {
      "jsdoc/require-jsdoc": [
        "error",
        { publicOnly: true, checkConstructors: false, enableFixer: false, contexts: EXPORTED },
      ],
      "jsdoc/require-description": ["error", { contexts: EXPORTED }],
      "jsdoc/match-description": [
        "error",
        { matchDescription: `^(?!(${NOT_IMPERATIVE})\\b)[A-Z]\\w+\\b[^]*?[.](\\s+@[^]*)?\\s*$`, contexts: EXPORTED },
      ],
      "jsdoc/check-param-names": "error",
    },
  },
  ...FOLDERS.map((folder, i) => ({
    files: [`extension/${folder}/**/*.js`],
    rules: {
      "no-restricted-imports": ["error", { patterns: FOLDERS.slice(i + 1).map((later) => `**/${later}/**`) }],
    },
  })),
];
