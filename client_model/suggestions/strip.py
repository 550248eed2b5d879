"""The strip above the keys: three words, of which the last may be what is typed; a place for a punctuation mark.

docs/device.md has the rules for ports; `tests/client_model/suggestions/cases.json` holds this module and the page's
additions.js to the same answers.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.suggestions.completion import EXACT, LETTERS_FOR_SWAP, UNLIKE, fit
from client_model.suggestions.personal_words import ENDS, START, PersonalWords
from client_model.text.vocabulary import FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS, Vocabulary, tokenize

WRITTEN = {
    word.lower(): word
    for word in (
        *("I", "I'm", "I'll", "I've", "I'd"),
        *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        *("January", "February", "April", "June", "July", "August", "September", "October", "November", "December"),
        *("Christmas", "Easter", "Halloween", "Thanksgiving", "America", "Africa", "Asia", "Europe", "Australia"),
        *("England", "London", "France", "Paris", "Germany", "Italy", "Spain", "India", "Japan", "Canada", "Mexico"),
        *("English", "American", "British", "French", "German", "Italian", "Spanish", "Indian", "Japanese", "Chinese"),
        *("European", "African", "Canadian", "Mexican", "Korean", "Russian", "Dutch", "Irish"),
        *("Facebook", "Google", "YouTube", "Twitter", "WhatsApp", "Netflix", "TV", "DVD", "USA", "UK"),
    )
}
"""Words that always have capitals: none that is another common word in small letters, such as may."""
MAY_REPEAT = frozenset(
    {
        *("ha", "haha", "hahaha", "ho", "lol", "no", "yes", "yeah", "yup", "ok", "okay", "oh", "hey", "bye"),
        *("wow", "woah", "very", "really", "so"),
    }
)


def shown(word: str, before: Sequence[str], typed: str = "", written: str | None = None) -> str:
    """A suggested word as it is shown: with a capital at the start of a sentence, and where one was typed.

    Letters that are all capitals, two or more, make it all capitals.

    Args:
        word: in lower case.
        before: tokens of the message so far.
        typed: letters of the word, as they were typed.
        written: how the person writes the word; by default as everybody does.
    """
    if sum(map(str.isalpha, typed)) > 1 and typed == typed.upper() != typed.lower() and len(word.upper()) == len(word):
        return word.upper()
    form = written or WRITTEN.get(word, word)
    starts = not before or before[-1] in ENDS
    capital = starts or typed[:1] != typed[:1].lower()
    first = form[:1].upper()
    return first + form[1:] if capital and len(first) == 1 else form  # one letter of German would become two


def quoted(typed: str) -> str:
    """Letters that are offered as they were typed, as they are shown."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{typed}\N{RIGHT DOUBLE QUOTATION MARK}"


def _folded(typed: str) -> str:
    return typed.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


class Strip:
    """What is shown above the keys for one vocabulary.

    Args:
        vocabulary: of the model.
        blocked: words that are never shown.
    """

    def __init__(self, vocabulary: Vocabulary, blocked: Collection[str] = ()) -> None:
        self._tokens = vocabulary.tokens
        self._ids = {token: i for i, token in enumerate(vocabulary.tokens)}
        self._blocked = frozenset(blocked)
        self._allowed = np.array([i >= FIRST_WORD and t not in self._blocked for i, t in enumerate(self._tokens)])

    def words(
        self, logits: NDArray[np.float32], before: Sequence[str], typed: str = "", personal: PersonalWords | None = None
    ) -> list[str]:
        """The words to suggest, in lower case, best first: at most three, or two beside `as_typed`.

        Args:
            logits: of the model after `before`, float32 [V].
            before: tokens of the message so far, of `tokenize`.
            typed: letters of the next word so far, in any case.
            personal: what this person wrote before.
        """
        letters = _folded(typed)
        score, own = self._scores(logits, before, personal)
        allowed = self._without_repetition(before) if not letters else self._allowed
        if letters:
            firsts = {letters[0], letters[1:2]} if len(letters) >= LETTERS_FOR_SWAP else {letters[0]}
            allowed = allowed & np.array([token[:1] in firsts for token in self._tokens])
        ids = np.flatnonzero(allowed)
        if not letters and len(ids) > SUGGESTIONS:  # a sort of all words takes longer than the model
            ids = ids[score[ids] >= np.partition(score[ids], -SUGGESTIONS)[-SUGGESTIONS]]
        ids = ids[np.lexsort((ids, -logits[ids], -score[ids]))]
        if not letters:
            ids = ids[:SUGGESTIONS]
            own = {word: value for word, value in own.items() if word not in self._repetition(before)}
        ranked = [(-score[i], place, self._tokens[i]) for place, i in enumerate(ids.tolist())]
        ranked += [(-value, len(ranked) + place, word) for place, (word, value) in enumerate(own.items())]
        fitting = sorted((fit(word, letters), value, place, word) for value, place, word in ranked)
        found = [word for kind, _, _, word in fitting[:SUGGESTIONS] if kind < UNLIKE]
        return found if self.as_typed(found, typed) is None else found[: SUGGESTIONS - 1]

    def as_typed(self, words: Sequence[str], typed: str) -> str | None:
        """The letters themselves, to offer behind the words: where fewer than three of these begin with them.

        Args:
            words: of `words`, for the same letters.
            typed: letters of the next word so far, in any case.

        Returns:
            None where nothing is typed, or no whole word; where the letters are one of the words, or a blocked one.
        """
        letters = _folded(typed)
        is_word = tokenize(letters) == [letters] and any(letter.isalpha() for letter in letters)
        if not is_word or letters in self._blocked or letters in words:
            return None
        return None if sum(fit(word, letters) == EXACT for word in words) >= SUGGESTIONS else typed

    def offered(
        self, logits: NDArray[np.float32], before: Sequence[str], typed: str = "", personal: PersonalWords | None = None
    ) -> list[str]:
        """What the three places show: `words` with their capitals, and behind them `as_typed` in quotation marks.

        Args:
            logits, before, typed, personal: as of `words`.
        """
        words = self.words(logits, before, typed, personal)
        itself = self.as_typed(words, typed)
        form = personal.form if personal else lambda _: None
        places = [shown(word, before, typed, form(word)) for word in words]
        return places if itself is None else [*places, quoted(itself)]

    def plain(self, logits: NDArray[np.float32]) -> list[str]:
        """The three words of the file by itself, without any addition; logits float32 [V]."""
        order = np.argsort(-logits[FIRST_WORD:], kind="stable")[:SUGGESTIONS]
        return [self._tokens[FIRST_WORD + i] for i in order.tolist()]

    def mark(self, logits: NDArray[np.float32], before: Sequence[str], typed: str = "") -> str | None:
        """The punctuation mark to offer beside the words, if any: one likelier than the model's third word.

        Args:
            logits: of the model after `before`, float32 [V].
            before: tokens of the message so far; no mark follows nothing, or another mark.
            typed: letters of the next word so far; no mark splits a word.
        """
        if typed or not before or before[-1] in PUNCTUATION:
            return None
        best = len(SPECIAL_TOKENS) + int(np.argmax(logits[len(SPECIAL_TOKENS) : FIRST_WORD]))
        words = np.sort(logits[self._without_repetition(before)])
        third = words[-SUGGESTIONS] if len(words) >= SUGGESTIONS else -np.inf
        return self._tokens[best] if logits[best] > third else None

    def _scores(
        self, logits: NDArray[np.float32], before: Sequence[str], personal: PersonalWords | None
    ) -> tuple[NDArray[np.float64], dict[str, float]]:
        """(of each token [V], of personal words outside the vocabulary, the one written longest ago first)."""
        score: NDArray[Any] = np.exp(logits.astype(np.float64) - float(logits.max()))
        score /= score.sum()
        if personal is None or not (estimate := personal.estimate(before[-1] if before else START)):
            return score, {}
        weight = personal.weight
        score *= 1.0 - weight
        for word, value in estimate.items():
            if (place := self._ids.get(word)) is not None:
                score[place] += weight * value
        unlisted = [word for word in personal.repeated() if word not in self._ids and word not in self._blocked]
        return score, {word: weight * estimate[word] for word in unlisted}

    def _repetition(self, before: Sequence[str]) -> frozenset[str]:
        """The word that may not come next, if there is one; what has no letters, such as an emoji, may."""
        last = before[-1] if before else ""
        doubled = last not in MAY_REPEAT and any(letter.isalpha() for letter in last)
        return frozenset({last}) if doubled else frozenset()

    def _without_repetition(self, before: Sequence[str]) -> NDArray[np.bool_]:
        allowed = self._allowed.copy()
        allowed[[self._ids[word] for word in self._repetition(before) if word in self._ids]] = False
        return allowed
