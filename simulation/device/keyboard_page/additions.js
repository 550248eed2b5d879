// What the keyboard adds to the model, by the rules of client_model/suggestions; docs/device.md has them.

import { FIRST_WORD, tokenise } from "./tokeniser.js";

export const SUGGESTIONS = 3;
const EXACT = 0;
const NEAR = 1;
const FAR = 2;
const UNLIKE = 3;
const LETTERS_FOR_SWAP = 3;
const LETTERS_FOR_TWO_SLIPS = 7;
const FIRST_MARK = 4;
const MARKS = new Set([".", ",", "?", "!"]);
const ENDS = new Set([".", "?", "!"]);
const WRITTEN = new Map(
  `I I'm I'll I've I'd Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February April June July August
  September October November December Christmas Easter Halloween Thanksgiving America Africa Asia Europe Australia
  England London France Paris Germany Italy Spain India Japan Canada Mexico English American British French German
  Italian Spanish Indian Japanese Chinese European African Canadian Mexican Korean Russian Dutch Irish Facebook Google
  YouTube Twitter WhatsApp Netflix TV DVD USA UK`.split(/\s+/).map((word) => [word.toLowerCase(), word]),
);
const MAY_REPEAT = new Set(
  "ha haha hahaha ho lol no yes yeah yup ok okay oh hey bye wow woah very really so".split(" "),
);
const START = "<bos>";
const FEWEST_TIMES = 2;
const SETTINGS = { weight: 0.3, halfWeight: 100, smoothing: 8, halfLife: 500, limit: 2000 };

/** EXACT, apostrophes or not; NEAR (one slip, in the first letter a swap alone), FAR (two slips) or UNLIKE. */
export function fit(word, typed) {
  if (word.startsWith(typed)) return EXACT;
  if (word[0] !== typed[0] && word[0] !== typed[1]) return UNLIKE; // most words: nothing needs to be taken apart
  if (!typed.includes("'") && word.replaceAll("'", "").startsWith(typed)) return EXACT;
  const [whole, letters] = [[...word], [...typed]];
  if (whole[0] !== letters[0]) {
    const swapped = [letters[1], letters[0], ...letters.slice(2)].join("");
    return letters.length >= LETTERS_FOR_SWAP && word.startsWith(swapped) ? NEAR : UNLIKE;
  }
  const [rest, left] = [whole.slice(1), letters.slice(1)];
  if (beginsWithin(rest, left, 1)) return NEAR;
  return letters.length >= LETTERS_FOR_TWO_SLIPS && beginsWithin(rest, left, 2) ? FAR : UNLIKE;
}

/** Whether some beginning of a word is at most so many slips away from letters; both are arrays. */
function beginsWithin(word, letters, slips) {
  let place = 0; // of the first letter that differs
  while (place < Math.min(word.length, letters.length) && word[place] === letters[place]) place++;
  if (place === letters.length) return true;
  if (slips === 0) return false;
  const [rest, left] = [word.slice(place), letters.slice(place)];
  const within = (from, past) => beginsWithin(rest.slice(from), left.slice(past), slips - 1);
  return (
    within(0, 1) || // one too many
    (rest.length > 0 && (within(1, 1) || within(1, 0))) || // one for another, or one missing
    (left.length > 1 && rest[0] === left[1] && rest[1] === left[0] && within(2, 2)) // swapped
  );
}

/** Whether a sentence begins after these tokens. */
const begins = (before) => !before.length || ENDS.has(before.at(-1));

/** Whether the next letter of a text is the first of a sentence: there Shift comes by itself. */
export const startsSentence = (text) => /(^|\s)$/u.test(text) && begins(tokenise(text));

const isCapitals = (typed) =>
  (typed.match(/\p{L}/gu) ?? []).length > 1 && typed === typed.toUpperCase() && typed !== typed.toLowerCase();

/** A suggested word as it is shown; `written` is how the person writes it, or null. */
export function shown(word, before, typed = "", written = null) {
  if (isCapitals(typed) && [...word.toUpperCase()].length === [...word].length) return word.toUpperCase();
  const begin = [...typed].slice(0, 1).join("");
  const form = written ?? WRITTEN.get(word) ?? word;
  const [letter, ...others] = form;
  const first = (letter ?? "").toUpperCase();
  const capital = begins(before) || begin !== begin.toLowerCase();
  return capital && [...first].length === 1 ? first + others.join("") : form;
}

/** The last words of a person, kept in this page's memory only. */
export class PersonalWords {
  constructor(settings = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.forget();
  }

  forget() {
    this.kept = []; // [token before, word, as written or null where a sentence begins with it], oldest first
    this.count();
  }

  /** The tokens of a message, and the same in the case in which they were written. */
  remember(tokens, written = tokens) {
    let before = START;
    for (const [place, token] of tokens.entries()) {
      const start = before === START || ENDS.has(before); // a capital there says nothing of the word
      if (!MARKS.has(token)) this.kept.push([before, token, start ? null : written[place]]);
      before = token;
    }
    this.kept = this.kept.slice(-this.settings.limit);
    this.count();
  }

  copy() {
    const other = new PersonalWords(this.settings);
    other.kept = [...this.kept];
    other.count();
    return other;
  }

  /** How the person writes a word within sentences: with capitals that it had twice or more and mostly, else null. */
  form(word) {
    const forms = [...(this.forms.get(word) ?? [])];
    const all = forms.reduce((sum, [, times]) => sum + times, 0);
    const [form, times] = forms.reduce((most, one) => (one[1] > most[1] ? one : most), [word, 0]);
    return form !== word && times >= FEWEST_TIMES && 2 * times > all ? form : null;
  }

  repeated() {
    return [...this.times].filter(([, times]) => times >= FEWEST_TIMES).map(([word]) => word);
  }

  /** Of the estimate beside the model's, with the words kept now. */
  get weight() {
    const { weight, halfWeight } = this.settings;
    return this.total ? (weight * this.total) / (this.total + halfWeight) : 0;
  }

  estimate(before) {
    const behind = this.pairs.get(before) ?? new Map();
    const { smoothing } = this.settings;
    const scale = 1 / ([...behind.values()].reduce((sum, one) => sum + one, 0) + smoothing);
    const every = this.total ? smoothing / this.total : 0;
    return new Map([...this.words].map(([word, count]) => [word, scale * ((behind.get(word) ?? 0) + every * count)]));
  }

  count() {
    const add = (map, key, count) => map.set(key, (map.get(key) ?? 0) + count);
    Object.assign(this, { times: new Map(), forms: new Map(), words: new Map(), pairs: new Map(), total: 0 });
    for (const [place, [before, word, form]] of this.kept.entries()) {
      const count = 2 ** ((place - this.kept.length + 1) / this.settings.halfLife);
      if (!this.pairs.has(before)) this.pairs.set(before, new Map());
      add(this.times, word, 1);
      if (!this.forms.has(word)) this.forms.set(word, new Map());
      if (form !== null) add(this.forms.get(word), form, 1);
      add(this.words, word, count);
      add(this.pairs.get(before), word, count);
      this.total += count;
    }
  }
}

/** Whether a word may not come next because it has just been typed; what has no letters, such as an emoji, may. */
const repeats = (word, before) => word === before.at(-1) && !MAY_REPEAT.has(word) && /\p{L}/u.test(word);

/** The probability of each token and, for personal words outside the vocabulary, a Map. */
function scores(logits, ids, before, personal) {
  const highest = logits.reduce((most, one) => Math.max(most, one), -Infinity);
  const score = Float64Array.from(logits, (one) => Math.exp(one - highest));
  const sum = score.reduce((total, one) => total + one, 0);
  const estimate = personal?.estimate(before.at(-1) ?? START) ?? new Map();
  const weight = estimate.size ? personal.weight : 0;
  for (let id = 0; id < score.length; id++) score[id] *= (1 - weight) / sum;
  for (const [word, value] of estimate) {
    if (ids.has(word)) score[ids.get(word)] += weight * value;
  }
  const unlisted = (personal?.repeated() ?? []).filter((word) => !ids.has(word));
  return { score, own: new Map(unlisted.map((word) => [word, weight * estimate.get(word)])) };
}

/** Whether a word as it is shown is the one that was written, or that one with a capital put on it. */
export const isWritten = (word, written) => word === written || word.toLowerCase() === written;

const folded = (typed) => typed.toLowerCase().replaceAll("\u2019", "'");

/** The letters themselves, to offer behind the words where fewer than three of these begin with them, or null. */
export function asTyped(found, typed, blocked) {
  const letters = folded(typed);
  const [first, ...others] = tokenise(letters);
  if (first !== letters || others.length || !/\p{L}/u.test(letters)) return null;
  if (blocked.has(letters) || found.includes(letters)) return null;
  return found.filter((word) => fit(word, letters) === EXACT).length < SUGGESTIONS ? typed : null;
}

/** What the three places show: `words` with their capitals, and behind them `asTyped`; both as {label, word}. */
export function offered(logits, vocabulary, blocked, { before, typed = "", personal = null }) {
  const found = words(logits, vocabulary, blocked, { before, typed, personal });
  const itself = asTyped(found, typed, blocked);
  const form = (word) => personal?.form(word) ?? null;
  const places = found.map((word) => shown(word, before, typed, form(word))).map((word) => ({ label: word, word }));
  return itself === null ? places : [...places, { label: `\u201c${itself}\u201d`, word: itself }];
}

/**
 * At most three words in lower case, best first, or two beside `asTyped`; `vocabulary` has tokens and ids, `before` is
 * tokens.
 */
export function words(logits, vocabulary, blocked, { before, typed = "", personal = null }) {
  const { tokens, ids } = vocabulary;
  const letters = folded(typed);
  const { score, own } = scores(logits, ids, before, personal);
  const found = []; // {word, kind, value, logit, place}, best first
  const better = (a, b) =>
    a.kind - b.kind || b.value - a.value || b.logit - a.logit || a.place - b.place;
  const consider = (word, value, logit, place) => {
    if (blocked.has(word) || (!letters && repeats(word, before))) return;
    const one = { word, kind: fit(word, letters), value, logit, place };
    if (one.kind === UNLIKE) return;
    if (found.length === SUGGESTIONS && better(one, found.at(-1)) >= 0) return;
    found.push(one);
    found.sort(better);
    found.length = Math.min(found.length, SUGGESTIONS);
  };
  for (let id = FIRST_WORD; id < tokens.length; id++) consider(tokens[id], score[id], logits[id], id);
  let place = tokens.length;
  for (const [word, value] of own) consider(word, value, -Infinity, place++);
  const all = found.map(({ word }) => word);
  return asTyped(all, typed, blocked) === null ? all : all.slice(0, SUGGESTIONS - 1);
}

/** The punctuation mark that is likelier than the model's third word, or null. */
export function mark(logits, vocabulary, blocked, { before, typed = "" }) {
  if (typed || !before.length || MARKS.has(before.at(-1))) return null;
  const { tokens } = vocabulary;
  let best = FIRST_MARK;
  for (let id = FIRST_MARK; id < FIRST_WORD; id++) if (logits[id] > logits[best]) best = id;
  let above = 0;
  let allowed = 0;
  for (let id = FIRST_WORD; id < tokens.length; id++) {
    if (blocked.has(tokens[id]) || repeats(tokens[id], before)) continue;
    allowed += 1;
    above += logits[id] >= logits[best];
  }
  return allowed < SUGGESTIONS || above < SUGGESTIONS ? tokens[best] : null;
}
