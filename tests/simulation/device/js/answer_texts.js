// The page's tokeniser, asked by test_page_modules.py: JSON texts on standard input, their tokens on standard output.

import { readFileSync, writeFileSync } from "node:fs";

import { pageModule } from "./page_modules.js";

const { tokenise } = await pageModule("tokeniser.js");
const texts = JSON.parse(readFileSync(0, "utf-8"));
writeFileSync(1, JSON.stringify(texts.map(tokenise)));
