// A keyboard without its keys: reads a text, suggests words, learns from messages.

import { isWritten, mark, offered, shown, words } from "./additions.js";
import { tensor } from "./engines.js";
import { EOS, FIRST_WORD, lettersOf, OOV, splitTyped, tokenise, tokensAsWritten } from "./tokeniser.js";

export const SUGGESTIONS = 3;
const TRAINING_BATCH = 8; // sequences, as in client_model/tflite/keyboard_modules.py

/** The likeliest words that begin with `typed` and are not blocked; of equals the lower id. */
export function best(logits, tokens, typed, blocked, count = SUGGESTIONS) {
  const found = []; // [id, logit], best first
  for (let id = FIRST_WORD; id < tokens.length; id++) {
    const logit = logits[id];
    if (found.length === count && logit <= found[count - 1][1]) continue;
    if ((typed && !tokens[id].startsWith(typed)) || blocked.has(tokens[id])) continue;
    let at = found.length;
    while (at > 0 && logit > found[at - 1][1]) at--;
    found.splice(at, 0, [id, logit]);
    found.length = Math.min(found.length, count);
  }
  return found.map(([id]) => id);
}

export class Keyboard {
  /** about: the server's description of the model; file: from an engine; signature: `step` or `infer`. */
  constructor(about, vocabulary, blocked, file, signature) {
    Object.assign(this, { about, vocabulary, blocked, file, signature });
    this.read = []; // {id, state, logits} after each token of the text so far; state: {name: numbers}
  }

  /** Logits after some ids, <bos> first; only those that are new are run. */
  async logitsAfter(ids) {
    let same = 0;
    while (same < ids.length && same < this.read.length && this.read[same].id === ids[same]) same++;
    this.read.length = same;
    for (const id of ids.slice(same)) {
      const before = this.read.at(-1)?.state ?? {}; // of an empty message: zeros
      const widths = Object.entries(this.about.state);
      const given = widths.map(([name, width]) => [name, tensor("float32", [1, width], before[name])]);
      const token = tensor("int32", [1], [id]);
      const found = await this.file.run(this.signature, { token, ...Object.fromEntries(given) });
      const state = Object.fromEntries(widths.map(([name]) => [name, found[`${name}_out`].data]));
      this.read.push({ id, state, logits: found.logits.data });
    }
    return this.read.at(-1).logits;
  }

  /** Three words for a text as it stands: the next one, or completions of the one that is being typed. */
  async suggest(text) {
    const { finished, typed } = splitTyped(text);
    const logits = await this.logitsAfter(this.vocabulary.idsOf(finished));
    const letters = typed.toLowerCase().replaceAll("\u2019", "'");
    const ids = best(logits, this.vocabulary.tokens, letters, this.blocked);
    return { typed, ids, words: ids.map((id) => this.vocabulary.tokens[id]) };
  }

  /** What the strip shows for a text: three places with what the keyboard adds, and a mark or null. */
  async strip(text, personal) {
    const { finished, typed } = splitTyped(text);
    const logits = await this.logitsAfter(this.vocabulary.idsOf(finished));
    const before = tokenise(finished);
    return {
      places: offered(logits, this.vocabulary, this.blocked, { before, typed, personal }),
      mark: mark(logits, this.vocabulary, this.blocked, { before, typed }),
    };
  }

  /** Whether the strip suggests a word as it was written, after some letters of it; these themselves save nothing. */
  offers(logits, written, { before, typed, personal }) {
    const found = words(logits, this.vocabulary, this.blocked, { before, typed, personal });
    const form = (word) => personal?.form(word) ?? null;
    return found.some((word) => isWritten(shown(word, before, typed, form(word)), written));
  }

  /**
   * {characters, keystrokes} of a message if every suggestion of the strip were accepted as soon as it is shown: with
   * capitals, completion and a person's own words. What is typed itself, where it is offered, costs what typing it and
   * a space costs. A word costs its letters and a space, as in client_model/metrics/keystrokes.py, which counts the
   * file alone.
   */
  async typingCost(text, personal = null) {
    const [tokens, ids] = [tokenise(text), this.vocabulary.idsOf(text)];
    const cost = { characters: 0, keystrokes: 0 };
    for (const [place, written] of tokensAsWritten(text).entries()) {
      const id = ids[place + 1];
      if (id < FIRST_WORD && id !== OOV) {
        cost.characters += 1; // punctuation
        cost.keystrokes += 1;
        continue;
      }
      const letters = lettersOf(written);
      const before = tokens.slice(0, place);
      const logits = await this.logitsAfter(ids.slice(0, place + 1));
      let count = 0;
      while (
        count < letters.length &&
        !this.offers(logits, written, { before, typed: letters.slice(0, count).join(""), personal })
      ) {
        count++;
      }
      cost.characters += letters.length + 1;
      cost.keystrokes += count + 1;
    }
    return cost;
  }

  /** Learn from messages with the training file; returns the mean loss of each pass, in nats per token. */
  async learn(messages, epochs, learningRate) {
    const length = this.about.sequence_length;
    const rows = [];
    for (const message of messages) {
      const ids = [...this.vocabulary.idsOf(message), EOS];
      for (let begin = 0; begin < ids.length - 1; begin += length) {
        const end = Math.min(begin + length, ids.length - 1);
        rows.push([ids.slice(begin, end), ids.slice(begin + 1, end + 1)]);
      }
    }
    const losses = [];
    for (let epoch = 0; epoch < epochs; epoch++) {
      let sum = 0;
      let tokens = 0;
      for (let begin = 0; begin < rows.length; begin += TRAINING_BATCH) {
        const inputs = tensor("int32", [TRAINING_BATCH, length]);
        const targets = tensor("int32", [TRAINING_BATCH, length]);
        let count = 0;
        rows.slice(begin, begin + TRAINING_BATCH).forEach(([input, target], row) => {
          inputs.data.set(input, row * length);
          targets.data.set(target, row * length);
          count += target.length;
        });
        const rate = tensor("float32", [1], [learningRate]);
        const found = await this.file.run("train", { inputs, targets, learning_rate: rate });
        sum += found.loss.data[0] * count;
        tokens += count;
      }
      losses.push(sum / tokens);
    }
    this.read = [];
    return losses;
  }

  async forget() {
    await this.file.forget();
    this.read = [];
  }
}
