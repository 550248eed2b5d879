// Run by `npm run lint` from the root of the project, so that it covers the page and its tests alike.

import js from "@eslint/js";

const readonly = (...names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

export default [
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-len": ["error", { code: 120 }],
      "no-implicit-globals": "error",
      "no-shadow": "error",
      "no-unused-vars": ["error", { args: "all" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  {
    files: ["simulation/device/keyboard_page/**/*.js"],
    languageOptions: {
      globals: readonly(
        ...["clearTimeout", "document", "fetch", "location", "matchMedia", "navigator", "performance", "setTimeout"],
      ),
    },
  },
  {
    files: ["tests/simulation/device/js/**/*.js"],
    languageOptions: { globals: readonly("URL") },
  },
];
