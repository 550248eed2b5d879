import assert from "node:assert/strict";
import { test } from "node:test";

import { pageModule } from "./page_modules.js";

const { BOS, EOS, FIRST_WORD, lettersOf, OOV, PAD, splitTyped, tokenise, tokensAsWritten, Vocabulary } =
  await pageModule("tokeniser.js");

const FIXED = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!"];

test("words are lower case and keep their apostrophes, of either kind", () => {
  assert.deepEqual(tokenise("Don\u2019t SHOUT, it's o'clock"), ["don't", "shout", ",", "it's", "o'clock"]);
});

test("an apostrophe at the edge of a word is no part of it", () => {
  assert.deepEqual(tokenise("'tis the boys' 'n'"), ["tis", "the", "boys", "n"]);
});

test("an emoji is one token with all that belongs to it", () => {
  const wavingHand = "\u{1F44B}\u{1F3FD}";
  const family = "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}";
  const flag = "\u{1F1EB}\u{1F1F7}";
  const keycap = "3\uFE0F\u20E3";
  for (const emoji of [wavingHand, family, flag, keycap]) {
    assert.deepEqual(tokenise(`hi ${emoji}${emoji}:)`), ["hi", emoji, emoji]);
  }
});

test("all else separates", () => {
  assert.deepEqual(tokenise("10:30 a_b (c) \u2013 d;e"), ["10", "30", "a", "b", "c", "d", "e"]);
  assert.deepEqual(tokenise(""), []);
  assert.deepEqual(tokenise(" \n\t:;-"), []);
});

test("tokens as they were written are the same tokens, and an emoji is one letter", () => {
  assert.deepEqual(tokensAsWritten("Don\u2019t SHOUT, Tom!"), ["Don't", "SHOUT", ",", "Tom", "!"]);
  for (const text of ["", "\u0130stanbul", "\u24C2 A", "\u1E9E\u03A3", "Hi \u{1F44B}\u{1F3FD}"]) {
    assert.deepEqual(tokensAsWritten(text).map((token) => token.toLowerCase()), tokenise(text));
  }
  const letters = ["a", "\u2764\uFE0F", "\u{1F1EB}\u{1F1F7}", "e\u0301"];
  assert.deepEqual(lettersOf(letters.join("")), letters);
});

test("what is typed is the word at the end, and nothing is lost", () => {
  assert.deepEqual(splitTyped("see you to"), { finished: "see you ", typed: "to" });
  assert.deepEqual(splitTyped("don\u2019"), { finished: "", typed: "don\u2019" });
  assert.deepEqual(splitTyped("caf\u00e9"), { finished: "", typed: "caf\u00e9" });
  for (const text of ["", "hello ", "hello.", "one two", "hi \u{1F44B}", "it's", "'quoted", "a'b'c", "  "]) {
    const { finished, typed } = splitTyped(text);
    assert.equal(finished + typed, text);
    assert.equal(/[\s.,?!]/u.test(typed), false);
  }
});

test("ids are places in the vocabulary, with <bos> before and <oov> for what it lacks", () => {
  const vocabulary = new Vocabulary(`${[...FIXED, "see", "you"].join("\n")}\n`);
  assert.equal(vocabulary.tokens.length, FIRST_WORD + 2);
  assert.deepEqual(vocabulary.idsOf("See you, Tom!"), [BOS, 8, 9, 5, OOV, 7]);
  assert.deepEqual(vocabulary.idsOf(""), [BOS]);
  assert.deepEqual([PAD, BOS, EOS, OOV].map((id) => vocabulary.tokens[id]), FIXED.slice(0, 4));
});
