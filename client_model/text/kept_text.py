"""Limits of what a phone keeps to learn from: its newest messages, so many, so long, so old at most.

What is beyond them is as if it were not on the phone: it is not trained on, and no word of it is counted. With a limit
of age, phones clear up at the start of each simulated day (UTC): what is kept on a day was written in the days before
it, by the messages' own times; what was written later is not there yet. People who are held out are measured on all
that they wrote, so that runs with other limits are measured on the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from client_model.text.population import Population

DAY_S = 86_400.0
_Text = tuple[NDArray[np.integer[Any]], NDArray[np.int64]]


@dataclass(frozen=True)
class Limits:
    """Of what a phone keeps; None: no limit."""

    messages: int | None = None
    tokens: int | None = None
    days: float | None = None
    start_s: float = 0.0  # of the first simulated day, in seconds since 1970

    @property
    def are_none(self) -> bool:
        """Whether phones keep all."""
        return (self.messages, self.tokens, self.days) == (None, None, None)


NO_LIMITS = Limits()


class KeptText:
    """A population on a simulated day, whose limited phones hold what they keep."""

    def __init__(self, inner: "Population", limits: Limits, limited: NDArray[np.bool_], day: int = 0) -> None:
        """Nothing is read yet.

        Args:
            inner: all that phones wrote; with a limit of age it says when.
            limits: what they keep of it.
            limited: bool [num_phones], the phones that the limits are for.
            day: of the simulation, from 0 on.
        """
        self._inner, self._limits, self._limited, self.day = inner, limits, limited, day
        self.num_phones = inner.num_phones
        self._has_text: NDArray[np.bool_] | None = None  # not asked yet

    def on_day(self, day: int) -> "KeptText":
        """The same phones on another day."""
        if self._limits.days is None or day == self.day:
            return self
        return KeptText(self._inner, self._limits, self._limited, day)

    @property
    def slides(self) -> bool:
        """Whether what is kept depends on the day."""
        return self._limits.days is not None

    @property
    def lexicon(self) -> Sequence[str]:
        """That of all text: an id stands for the same word on every day."""
        return self._inner.lexicon

    @property
    def unlisted_word_letters(self) -> int:
        """As in all text."""
        return self._inner.unlisted_word_letters

    @property
    def skipped_lines(self) -> int:
        """Lines of the file that were no messages."""
        return self._inner.skipped_lines

    def digests(self) -> NDArray[np.uint64]:
        """uint64 [num_phones], as of all text."""
        return self._inner.digests()

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """int64 [messages], tokens of each message that is kept."""
        lengths = self._inner.message_lengths(phone)
        first, last = self._kept(phone, lengths)
        return lengths[first:last]

    def types(self, phone: int, messages: NDArray[np.int64] | None = None) -> _Text:
        """(type ids [tokens], offsets [messages + 1]) of all messages that are kept, or of those asked for."""
        if messages is None:
            return self.types_of_phones(np.array([phone]))[0]
        first, _ = self._kept(phone, self._inner.message_lengths(phone))
        return self._inner.types(phone, messages + first)

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[_Text]:
        """What `types` gives, for each of several phones."""
        return [
            self._cut(int(phone), *text)
            for phone, text in zip(phones, self._inner.types_of_phones(phones), strict=True)
        ]

    def has_text(self) -> NDArray[np.bool_]:
        """bool [num_phones], those that keep any message."""
        if self._has_text is None:
            there = (len(self.message_lengths(phone)) > 0 for phone in range(self.num_phones))
            self._has_text = np.fromiter(there, bool, self.num_phones)
        return self._has_text

    def _cut(self, phone: int, types: NDArray[np.integer[Any]], offsets: NDArray[np.int64]) -> _Text:
        first, last = self._kept(phone, np.diff(offsets))
        return types[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first]

    def _kept(self, phone: int, lengths: NDArray[np.int64]) -> tuple[int, int]:
        """(the first message that is kept, the first one after them)."""
        first, last, limits = 0, len(lengths), self._limits
        if not self._limited[phone]:
            return first, last
        if limits.days is not None:
            today_s = limits.start_s + self.day * DAY_S
            times_s = self._inner.message_times_s(phone)  # type: ignore[attr-defined]  # of those that are dated
            first, last = np.searchsorted(times_s, [today_s - limits.days * DAY_S, today_s]).tolist()
        if limits.messages is not None:
            first = max(first, last - limits.messages)
        if limits.tokens is not None and first < last:
            within = np.cumsum(lengths[first:last][::-1]) <= limits.tokens
            first = last - max(int(within.sum()), 1)  # its newest message, however long
        return first, last
