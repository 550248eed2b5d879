import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { pageModule } from "./page_modules.js";

const { mark, offered, PersonalWords, startsSentence } = await pageModule("additions.js");
const { Vocabulary } = await pageModule("tokeniser.js");

const CASES = JSON.parse(readFileSync(new URL("../../../client_model/suggestions/cases.json", import.meta.url)));
const FIXED = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!"];
const VOCABULARY = new Vocabulary(`${[...FIXED, ...CASES.words].join("\n")}\n`);
const BLOCKED = new Set(CASES.blocked);

for (const [number, one] of CASES.cases.entries()) {
  const { logits, before, typed, messages, written = messages, times = 1, ...expected } = one;
  test(`case ${number}, which Python answers too`, () => {
    const personal = new PersonalWords();
    for (let time = 0; time < times; time++) messages.forEach((message, at) => personal.remember(message, written[at]));
    const given = Float32Array.from(VOCABULARY.tokens, (token) => logits[token] ?? 0);
    const places = offered(given, VOCABULARY, BLOCKED, { before, typed, personal });
    assert.deepEqual(places.map(({ label }) => label), expected.words);
    for (const { label, word } of places) assert.equal(word, label.startsWith("\u201c") ? typed : label);
    assert.equal(mark(given, VOCABULARY, BLOCKED, { before, typed }), expected.mark);
  });
}

test("only the newest words are kept, and all are forgotten at once", () => {
  const personal = new PersonalWords({ limit: 2 });
  personal.remember(["a", "b", "b", "b"]);
  assert.deepEqual(personal.repeated(), ["b"]);
  personal.forget();
  assert.equal(personal.estimate("<bos>").size, 0);
});

test("a few words weigh little, and many up to the weight", () => {
  const personal = new PersonalWords({ weight: 0.3, halfWeight: 50 });
  assert.equal(personal.weight, 0);
  personal.remember(["see", "you", "soon"]);
  assert.ok(Math.abs(personal.weight - (0.3 * 3) / 53) < 1e-4);
  for (let time = 0; time < 300; time++) personal.remember(["see", "you", "soon"]);
  assert.ok(personal.weight > 0.25 && personal.weight < 0.3);
});

test("a sentence starts where the strip's words have a capital, once there is room for them", () => {
  const starts = ["", " ", "See you. ", "Really?! ", 'He said "no." ', "Ha!\n"];
  const goesOn = ["See", "See ", "See you.", "3.5", "see, ", "ha \u{1f602} "];
  assert.deepEqual([...starts, ...goesOn].filter(startsSentence), starts);
});
