"""What one person wrote lately, kept on the phone: an estimate of the next word from the last words of their messages.

Each word kept counts 2^(-age / half_life), where age is the number of words after it. With u(w) the share of a word in
the sum of all counts, b(v, w) the sum of the counts of w behind v, and b(v) that of all words behind v:

    estimate(w | v) = (b(v, w) + smoothing * u(w)) / (b(v) + smoothing)

Beside the model's probability its weight grows with the sum n of all counts, since a few words say little:
weight n / (n + half_weight).

(a cache in the sense of Kuhn and De Mori, "A cache-based natural language model for speech recognition", IEEE TPAMI
1990, over pairs of words). Punctuation and the start of a message may be v, and are never w.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from client_model.text.vocabulary import BOS, PUNCTUATION, SPECIAL_TOKENS

START = SPECIAL_TOKENS[BOS]  # stands before the first word of a message
ENDS = (".", "?", "!")  # a sentence begins after one
FEWEST_TIMES = 2  # that a word outside the vocabulary, or a form of one, was written before it is suggested


@dataclass(frozen=True)
class PersonalSettings:
    """How personal words count; chosen on people who train."""

    weight: Annotated[float, Ge(0), Lt(1)] = 0.3
    """Of the estimate beside the model's, times n / (n + half_weight), where n is the sum of all counts."""
    half_weight: Annotated[float, Ge(0)] = 100.0
    """The n with which the estimate has half of the weight."""
    smoothing: Annotated[float, Gt(0)] = 8.0
    """Words that the last one counts as having been followed by anyway, as the person's words are spread."""
    half_life: Annotated[float, Gt(0)] = 500.0
    """Words after which a word counts half."""
    limit: Annotated[int, Ge(1)] = 2000
    """Words that are kept; the oldest go first."""


class PersonalWords:
    """The last words of a person, and what they say of the next one."""

    def __init__(self, settings: PersonalSettings | None = None) -> None:
        self.settings = settings or PersonalSettings()
        # (token before, word, how it was written or None where a sentence begins with it), oldest first
        self._kept: deque[tuple[str, str, str | None]] = deque(maxlen=self.settings.limit)
        self.forget()

    def forget(self) -> None:
        """Forget all words at once."""
        self._kept.clear()
        self._count()

    def remember(self, tokens: Iterable[str], written: Sequence[str] | None = None) -> None:
        """Take in a message that was sent.

        Args:
            tokens: of `tokenize`.
            written: the same of `tokens_as_written`; by default as if all was written in small letters.
        """
        before = START
        for place, token in enumerate(tokens):
            if token not in PUNCTUATION:
                begins = before == START or before in ENDS  # a capital there says nothing of the word
                self._kept.append((before, token, None if begins else token if written is None else written[place]))
            before = token
        self._count()

    def form(self, word: str) -> str | None:
        """How the person writes a word within sentences: with capitals that it had twice or more and mostly, else None.

        Args:
            word: in lower case.
        """
        forms = self._forms.get(word)
        if not forms:
            return None
        form, times = forms.most_common(1)[0]
        return form if form != word and times >= FEWEST_TIMES and 2 * times > forms.total() else None

    def repeated(self) -> list[str]:
        """Words that were written at least FEWEST_TIMES, the one written longest ago first."""
        return [word for word, times in self._times.items() if times >= FEWEST_TIMES]

    @property
    def weight(self) -> float:
        """Of the estimate beside the model's, with the words kept now; the model's is 1 less this."""
        kept = self._total + self.settings.half_weight
        return self.settings.weight * self._total / kept if kept else 0.0

    def estimate(self, before: str) -> dict[str, float]:
        """A probability for each word kept, given the token before (START at the start of a message); sums to 1."""
        behind: dict[str, float] = self._pairs.get(before, defaultdict(float))
        smoothing = self.settings.smoothing
        scale = 1.0 / (sum(behind.values()) + smoothing)
        every = smoothing / self._total if self._total else 0.0
        return {word: scale * (behind.get(word, 0.0) + every * count) for word, count in self._words.items()}

    def _count(self) -> None:
        self._times = Counter(word for _, word, _ in self._kept)
        self._forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._words: defaultdict[str, float] = defaultdict(float)
        self._pairs: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        newest = len(self._kept) - 1
        for place, (before, word, form) in enumerate(self._kept):
            count = 2.0 ** ((place - newest) / self.settings.half_life)
            self._words[word] += count
            self._pairs[before][word] += count
            if form is not None:
                self._forms[word][form] += 1
        self._total = sum(self._words.values())
