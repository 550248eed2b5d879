import assert from "node:assert/strict";
import { test } from "node:test";

import { pageModule } from "./page_modules.js";

const { PersonalWords } = await pageModule("additions.js");
const { best, Keyboard, SUGGESTIONS } = await pageModule("keyboard.js");
const { BOS, EOS, FIRST_WORD, PAD, Vocabulary } = await pageModule("tokeniser.js");

const WORDS = ["see", "you", "sea", "season", "tomorrow", "damn"];
const TOKENS = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!", ...WORDS];
const NONE = new Set();
const id = (word) => TOKENS.indexOf(word);
const logitsOf = (scores) => Float32Array.from(TOKENS, (token) => scores[token] ?? 0);

/** A model file whose suggestions are known: `next[id]` has the scores of the tokens that follow that token. */
class KnownFile {
  constructor(next) {
    Object.assign(this, { next, calls: [], batches: [], forgotten: 0 });
  }

  async run(signature, inputs) {
    if (signature === "train") {
      this.batches.push(inputs);
      return { loss: { data: [1 / this.batches.length] } };
    }
    const token = inputs.token.data[0];
    this.calls.push(token);
    this.given = inputs;
    // Every state goes out one larger than it came in, so that a lost or mixed up state would show.
    const outputs = { logits: { data: logitsOf(this.next[TOKENS[token]] ?? {}) } };
    for (const [name, { data }] of Object.entries(inputs)) {
      if (name !== "token") outputs[`${name}_out`] = { data: data.map((value) => value + 1) };
    }
    this.depth = Object.values(outputs).at(-1).data[0];
    return outputs;
  }

  async forget() {
    this.forgotten += 1;
  }
}

function keyboardOn(next, blocked = NONE, state = { hidden: 2, cell: 3 }) {
  const file = new KnownFile(next);
  const about = { state, sequence_length: 4 };
  const vocabulary = new Vocabulary(`${TOKENS.join("\n")}\n`);
  return { file, keyboard: new Keyboard(about, vocabulary, blocked, file, "step") };
}

test("the likeliest words come first, and of equals the lower id", () => {
  const logits = logitsOf({ tomorrow: 3, you: 2, see: 2, sea: 1 });
  assert.deepEqual(best(logits, TOKENS, "", NONE), [id("tomorrow"), id("see"), id("you")]);
  assert.deepEqual(best(logitsOf({}), TOKENS, "", NONE), [FIRST_WORD, FIRST_WORD + 1, FIRST_WORD + 2]);
});

test("punctuation and special tokens are never suggested, blocked words neither", () => {
  const logits = logitsOf({ "<eos>": 9, ".": 9, damn: 8, see: 1 });
  const found = best(logits, TOKENS, "", new Set(["damn"]));
  assert.equal(found.length, SUGGESTIONS);
  assert.equal(found[0], id("see"));
  assert.ok(found.every((one) => one >= FIRST_WORD && one !== id("damn")));
});

test("completions begin with what is typed, and there may be fewer than three", () => {
  const logits = logitsOf({ you: 9, season: 2, sea: 1 });
  assert.deepEqual(best(logits, TOKENS, "sea", NONE), [id("season"), id("sea")]);
  assert.deepEqual(best(logits, TOKENS, "xyz", NONE), []);
});

test("the order of any scores is that of sorting them", () => {
  let seed = 7;
  const draw = () => (seed = (seed * 16807) % 2147483647) % 5; // few values, so that many are equal
  for (let round = 0; round < 200; round++) {
    const logits = Float32Array.from(TOKENS, draw);
    const words = [...TOKENS.keys()].slice(FIRST_WORD);
    const sorted = words.sort((a, b) => logits[b] - logits[a] || a - b);
    for (const count of [1, 3, 10]) assert.deepEqual(best(logits, TOKENS, "", NONE, count), sorted.slice(0, count));
  }
});

test("suggestions follow the finished text, completions the letters after it", async () => {
  const { keyboard } = keyboardOn({ "<bos>": { see: 5 }, see: { you: 5, sea: 4 } });
  assert.equal((await keyboard.suggest("")).words[0], "see");
  assert.deepEqual((await keyboard.suggest("See ")).words.slice(0, 2), ["you", "sea"]);
  assert.deepEqual(await keyboard.suggest("see SE"), {
    typed: "SE",
    ids: [id("sea"), id("see"), id("season")],
    words: ["sea", "see", "season"],
  });
});

test("only what is new is run, and what was deleted is forgotten", async () => {
  const { keyboard, file } = keyboardOn({});
  await keyboard.suggest("see you ");
  assert.deepEqual(file.calls, [BOS, id("see"), id("you")]);
  assert.equal(file.depth, 3);
  await keyboard.suggest("see you tom");
  assert.equal(file.calls.length, 3); // a word that is being typed is not read yet
  await keyboard.suggest("see sea ");
  assert.deepEqual(file.calls.slice(3), [id("sea")]);
  assert.equal(file.depth, 3); // it went on from the state after "see"
  await keyboard.suggest("you ");
  assert.deepEqual(file.calls.slice(4), [id("you")]);
  assert.equal(file.depth, 2);
});

for (const widths of [{ hidden: 2, cell: 3 }, { memory: 5 }]) {
  test(`the state has the parts that the file has: ${Object.keys(widths)}`, async () => {
    const { keyboard, file } = keyboardOn({}, NONE, widths);
    await keyboard.suggest("");
    for (const [depth, text] of [[0, ""], [1, "see "], [2, "see you "]]) {
      await keyboard.suggest(text);
      assert.deepEqual(Object.keys(file.given), ["token", ...Object.keys(widths)]);
      for (const [name, width] of Object.entries(widths)) {
        assert.deepEqual(file.given[name].shape, [1, width]);
        assert.deepEqual([...file.given[name].data], Array(width).fill(depth));
      }
    }
  });
}

test("a word costs one tap where it is shown, else the letters until it is, and a tap", async () => {
  const { keyboard } = keyboardOn({
    "<bos>": { see: 9 },
    see: { sea: 9, season: 8, damn: 7, tomorrow: 6 },
  });
  assert.deepEqual(await keyboard.typingCost("see"), { characters: 4, keystrokes: 1 });
  assert.deepEqual(await keyboard.typingCost("see tomorrow"), { characters: 4 + 9, keystrokes: 1 + 2 });
  assert.deepEqual(await keyboard.typingCost("see!"), { characters: 4 + 1, keystrokes: 1 + 1 });
  assert.deepEqual(await keyboard.typingCost("qwz"), { characters: 4, keystrokes: 4 }); // not in the vocabulary
});

test("a blocked word is never shown, so it costs all its letters", async () => {
  const { keyboard } = keyboardOn({ "<bos>": { damn: 9 } }, new Set(["damn"]));
  assert.deepEqual(await keyboard.typingCost("damn"), { characters: 5, keystrokes: 5 });
});

const CASES = { you: 9, see: 8, sea: 7 };

test("a capital that the page puts on is no reason to type, one that it lacks is", async () => {
  const { keyboard } = keyboardOn({ "<bos>": CASES, see: CASES });
  assert.deepEqual(await keyboard.typingCost("See"), { characters: 4, keystrokes: 1 });
  assert.deepEqual(await keyboard.typingCost("see"), { characters: 4, keystrokes: 1 });
  assert.deepEqual(await keyboard.typingCost("see you"), { characters: 8, keystrokes: 2 });
  assert.deepEqual(await keyboard.typingCost("see You"), { characters: 8, keystrokes: 1 + 2 }); // Y, then the word
  assert.deepEqual(await keyboard.typingCost("see YOU"), { characters: 8, keystrokes: 1 + 3 }); // Y, O, then the word
  assert.deepEqual(await keyboard.typingCost("see yOU"), { characters: 8, keystrokes: 1 + 4 }); // never offered
});

test("a word is not offered again at once, so it costs a letter", async () => {
  const { keyboard } = keyboardOn({ "<bos>": CASES, see: CASES });
  assert.deepEqual(await keyboard.typingCost("see see"), { characters: 8, keystrokes: 1 + 2 });
});

test("own words save what they are offered for, and are left as they are", async () => {
  const { keyboard } = keyboardOn({});
  const personal = new PersonalWords();
  for (let time = 0; time < 3; time++) personal.remember(["see", "zanzibar"]);
  assert.deepEqual(await keyboard.typingCost("see zanzibar"), { characters: 4 + 9, keystrokes: 1 + 9 });
  assert.deepEqual(await keyboard.typingCost("see zanzibar", personal), { characters: 4 + 9, keystrokes: 1 + 2 });
  assert.equal(personal.kept.length, 6);
  const copy = personal.copy();
  copy.remember(["you"]);
  assert.deepEqual([personal.kept.length, copy.kept.length, copy.total > personal.total], [6, 7, true]);
});

test("it learns from all tokens of all messages, in full batches padded with <pad>", async () => {
  const { keyboard, file } = keyboardOn({});
  const losses = await keyboard.learn(["see you", "see you tomorrow, you see"], 2, 0.5);
  assert.equal(losses.length, 2);
  assert.ok(losses[1] < losses[0]);
  assert.equal(file.batches.length, 2);
  const { inputs, targets, learning_rate: rate } = file.batches[0];
  assert.deepEqual([rate.data[0], inputs.shape[1], inputs.data.length], [0.5, 4, inputs.shape[0] * 4]);
  const row = (tensor, place) => [...tensor.data.slice(4 * place, 4 * place + 4)];
  assert.deepEqual(row(inputs, 0), [BOS, id("see"), id("you"), PAD]);
  assert.deepEqual(row(targets, 0), [id("see"), id("you"), EOS, PAD]);
  assert.deepEqual(row(inputs, 1), [BOS, id("see"), id("you"), id("tomorrow")]); // the longer message goes on
  assert.deepEqual(row(targets, 1), [id("see"), id("you"), id("tomorrow"), id(",")]); // in a second row
  assert.deepEqual(row(inputs, 2), [id(","), id("you"), id("see"), PAD]);
  assert.deepEqual(row(targets, 2), [id("you"), id("see"), EOS, PAD]);
  assert.ok(inputs.data.slice(12).every((one) => one === PAD));
});

test("after learning, and after forgetting, texts are read anew", async () => {
  const { keyboard, file } = keyboardOn({});
  await keyboard.suggest("see ");
  await keyboard.learn(["see you"], 1, 0.5);
  await keyboard.suggest("see ");
  await keyboard.forget();
  await keyboard.suggest("see ");
  assert.equal(file.forgotten, 1);
  assert.deepEqual(file.calls, [BOS, id("see"), BOS, id("see"), BOS, id("see")]);
});
