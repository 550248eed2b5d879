// Text to tokens and ids, by the rules of client_model/text/vocabulary.py; test_vectors.json holds both to the same.

export const PAD = 0;
export const BOS = 1;
export const EOS = 2;
export const OOV = 3;
export const FIRST_WORD = 8;

const EMOJI_UNIT =
  "\\p{Extended_Pictographic}(?:\\p{Emoji_Modifier}|\\uFE0F\\u20E3?|[\\u{E0020}-\\u{E007E}]+\\u{E007F})?";
const TOKEN = new RegExp(
  "\\p{Regional_Indicator}{2}" +
    `|${EMOJI_UNIT}(?:\\u200D${EMOJI_UNIT})*` +
    "|[0-9#*]\\uFE0F?\\u20E3" +
    "|[\\p{L}\\p{M}\\p{N}]+(?:'[\\p{L}\\p{M}\\p{N}]+)*" +
    "|[.,?!]",
  "gu",
);
const LAST_WORD = /[\p{L}\p{M}\p{N}]+(?:['\u2019][\p{L}\p{M}\p{N}]*)*$/u;

const LETTERS = new Intl.Segmenter();

/** Lower-case tokens of a text. */
export function tokenise(text) {
  return text.toLowerCase().replaceAll("\u2019", "'").match(TOKEN) ?? [];
}

/** Its tokens in the case in which they were written; in lower case if that changes which tokens there are. */
export function tokensAsWritten(text) {
  const [tokens, written] = [tokenise(text), text.replaceAll("\u2019", "'").match(TOKEN) ?? []];
  const same = written.length === tokens.length && written.every((one, place) => one.toLowerCase() === tokens[place]);
  return same ? written : tokens;
}

/** The letters of a text as a person counts them: an emoji is one. */
export function lettersOf(text) {
  return Array.from(LETTERS.segment(text), ({ segment }) => segment);
}

/** A text as what is finished and the letters of the word that is still being typed. */
export function splitTyped(text) {
  const found = text.match(LAST_WORD);
  const typed = found ? found[0] : "";
  return { finished: text.slice(0, text.length - typed.length), typed };
}

/** A vocabulary: the tokens, and the id of each. */
export class Vocabulary {
  constructor(text) {
    this.tokens = text.replace(/\n$/, "").split("\n");
    this.ids = new Map(this.tokens.map((token, id) => [token, id]));
  }

  /** <bos> and the ids of a text's tokens. */
  idsOf(text) {
    return [BOS, ...tokenise(text).map((token) => this.ids.get(token) ?? OOV)];
  }
}
