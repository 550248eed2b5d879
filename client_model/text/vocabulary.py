"""Words and their ids.

Ids 0-3 are `<pad> <bos> <eos> <oov>`, ids 4-7 are `. , ? !`, and words follow by falling frequency.
Punctuation is read and predicted like any token, but it is never suggested: a keyboard's three
suggestions are words (or emoji). So every metric counts positions whose true token is a word, and
every ranking is over ids >= FIRST_WORD.

Tokeniser: lower case, typographic apostrophes made plain; a token is a run of letters, marks and
digits with inner apostrophes, one of `. , ? !`, or one emoji (a whole grapheme: skin tones, flags,
keycaps and joined sequences stay together, after UTS #51 section 1.4.9). All else separates.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from typefleet.errors import InputError, expected
from typefleet.untrusted.limits import VOCABULARY_TOKENS, WORD_CHARACTERS
from typefleet.untrusted.opening import read_text

PAD, BOS, EOS, OOV = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<oov>")
PUNCTUATION = (".", ",", "?", "!")
_NO_WORD = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # what no token of a text has
FIRST_WORD = len(SPECIAL_TOKENS) + len(PUNCTUATION)

_EMOJI_UNIT = r"\p{Extended_Pictographic}(?:\p{EMod}|\uFE0F\u20E3?|[\U000E0020-\U000E007E]+\U000E007F)?"
_TOKEN = regex.compile(
    r"\p{Regional_Indicator}{2}"
    rf"|{_EMOJI_UNIT}(?:\u200D{_EMOJI_UNIT})*"
    r"|[0-9#*]\uFE0F?\u20E3"
    r"|[\p{L}\p{M}\p{N}]+(?:'[\p{L}\p{M}\p{N}]+)*"
    r"|[.,?!]"
)


def tokenize(text: str) -> list[str]:
    """Split a message into lower-case tokens."""
    tokens: list[str] = _TOKEN.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return tokens


def tokens_as_written(text: str) -> list[str]:
    """The tokens of `tokenize` in the case in which they were written; in lower case if that makes others of them."""
    tokens = tokenize(text)
    written: list[str] = _TOKEN.findall(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return written if [token.lower() for token in written] == tokens else tokens


class VocabularyError(InputError):
    """A vocabulary file that cannot be used."""


@dataclass(frozen=True)
class Vocabulary:
    """An immutable list of tokens; a token's id is its place."""

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if (fault := _fault(self.tokens)) is not None:
            number, expectation, found = fault
            raise VocabularyError(expected(f"token {number}", expectation, found))

    def __len__(self) -> int:
        return len(self.tokens)

    def to_text(self) -> str:
        """One token per line, as kept in model/vocab.txt and inside the exported file."""
        return "\n".join(self.tokens) + "\n"

    def lookup_table(self, lexicon: Iterable[str]) -> NDArray[np.int32]:
        """Map a lexicon to vocabulary ids: int32 [len(lexicon) + 1].

        The extra last entry is OOV, so that type ids beyond the lexicon can be clipped onto it.
        """
        ids = {token: i for i, token in enumerate(self.tokens)}
        return np.array([ids.get(token, OOV) for token in lexicon] + [OOV], np.int32)


def _fault(tokens: Sequence[str]) -> tuple[int, str, str] | None:
    """(number of the first wrong token, what was expected, what was found); a token itself may be what people wrote."""
    for place, fixed in enumerate(SPECIAL_TOKENS + PUNCTUATION):
        if list(tokens[place : place + 1]) != [fixed]:
            return place + 1, fixed, "another token" if place < len(tokens) else "none"
    if len(tokens) > VOCABULARY_TOKENS:
        return VOCABULARY_TOKENS + 1, f"at most {VOCABULARY_TOKENS:,} tokens", "more"
    first: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if not 0 < len(token) <= WORD_CHARACTERS or _NO_WORD.search(token):
            return place + 1, f"a word of at most {WORD_CHARACTERS} characters, without blanks", "another text"
        if first.setdefault(token, place) != place:
            return place + 1, "a token of its own", f"token {first[token] + 1} again"
    return None


def _tokens_of(text: str) -> tuple[str, ...]:
    return tuple(text.replace("\r\n", "\n").removesuffix("\n").split("\n"))


def vocabulary_from_text(text: str) -> Vocabulary:
    """Inverse of `Vocabulary.to_text`.

    Raises:
        VocabularyError: it is no vocabulary.
    """
    return Vocabulary(_tokens_of(text))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary file, one token per line.

    Raises:
        VocabularyError: it cannot be read, or is no vocabulary; names the file and the line.
    """
    most_bytes = VOCABULARY_TOKENS * (WORD_CHARACTERS + 1)
    tokens = _tokens_of(read_text(path, "a vocabulary", VocabularyError, most_bytes))
    if (fault := _fault(tokens)) is not None:
        number, expectation, found = fault
        raise VocabularyError(expected(f"{path}:{number}", expectation, found))
    if len(tokens) <= FIRST_WORD:
        raise VocabularyError(expected(path, "words after the special tokens and punctuation", "none"))
    return Vocabulary(tokens)


def build_vocabulary(lexicon: list[str], counts: NDArray[np.int64], size: int) -> Vocabulary:
    """The most frequent words that fit.

    Args:
        lexicon: distinct tokens.
        counts: int64 [len(lexicon)], how often each occurs; one with 0 stays out, and so does one that is longer than
            a word can be: what suggestions cost grows with the longest.
        size: rows of the table, special tokens and punctuation included; fewer where the text has
            fewer distinct words.
    """
    words = [(-int(counts[i]), lexicon[i]) for i in np.flatnonzero(counts) if may_enter(lexicon[i])]
    words.sort()
    return vocabulary_of([word for _, word in words], size)


def vocabulary_of(words: Sequence[str], size: int) -> Vocabulary:
    """The first of some words that fit, after what every vocabulary has.

    Args:
        words: in order.
        size: rows of the table, special tokens and punctuation included.
    """
    fixed = SPECIAL_TOKENS + PUNCTUATION
    return Vocabulary((*fixed, *words[: size - len(fixed)]))


def may_enter(token: str) -> bool:
    """Whether a token is a word that a vocabulary can have, and not in every one already."""
    return token not in SPECIAL_TOKENS + PUNCTUATION and len(token) <= WORD_CHARACTERS
