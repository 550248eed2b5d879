"""More phones than a file has people: further ones, whose text is drawn from the people who train.

A further phone takes after one of those people: it holds as many messages, each drawn from that person's with
replacement, in the order in which they were written. So phones differ as people do, there is no text that nobody wrote,
and nothing of the people who are held out is on any phone that trains. What more of them bring is a larger fleet, not
more language.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator, hash_uint64, purpose_key
from client_model.text.text_lengths import tokens_of_phones

if TYPE_CHECKING:
    from client_model.text.population import Population

_Text = tuple[NDArray[np.integer[Any]], NDArray[np.int64]]


class FurtherPhones:
    """A population of people and, in the rows after theirs, of further phones."""

    def __init__(self, people: "Population", training: NDArray[np.int64], further: int, seed: int) -> None:
        """Nothing is drawn yet.

        Args:
            people: whose text there is.
            training: int64, rows of those whom further phones may take after.
            further: how many there are.
            seed: of what each holds.
        """
        self._people, self._seed = people, seed
        self.num_phones = people.num_phones + further
        rows = np.arange(people.num_phones, self.num_phones)
        self._drawn = hash_uint64(purpose_key(seed, "further phone"), rows)  # [further]
        self._takes_after = training[(self._drawn % np.uint64(len(training))).astype(np.int64)]  # [further]

    @property
    def lexicon(self) -> Sequence[str]:
        """That of the people."""
        return self._people.lexicon

    @property
    def unlisted_word_letters(self) -> int:
        """As among the people."""
        return self._people.unlisted_word_letters

    @property
    def skipped_lines(self) -> int:
        """Lines of the file that were no messages."""
        return self._people.skipped_lines

    @property
    def most_phones_of_a_person(self) -> int:
        """Phones that hold messages of the same person, at most: the person's own, and those that take after it."""
        return 1 + int(np.bincount(self._takes_after).max(initial=0))

    def with_text_of(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64, sorted: these phones, and the further ones that take after people among them."""
        after = self._people.num_phones + np.flatnonzero(np.isin(self._takes_after, phones))
        return np.union1d(phones, after)

    def digests(self) -> NDArray[np.uint64]:
        """uint64 [num_phones], of the user ids of people, and of what further phones are drawn by."""
        return np.concatenate([self._people.digests(), self._drawn])

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """int64 [messages], tokens of each."""
        if phone < self._people.num_phones:
            return self._people.message_lengths(phone)
        person, drawn = self._messages_of(phone)
        return self._people.message_lengths(person)[drawn]

    def tokens_of_phones(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [len(phones)], tokens on each of several phones; what a person wrote is looked up once."""
        tokens = np.zeros(len(phones), np.int64)
        own = phones < self._people.num_phones
        tokens[own] = tokens_of_phones(self._people, phones[own])
        lengths_of: dict[int, NDArray[np.int64]] = {}
        for place in np.flatnonzero(~own).tolist():
            phone = int(phones[place])
            person = int(self._takes_after[phone - self._people.num_phones])
            if person not in lengths_of:
                lengths_of[person] = self._people.message_lengths(person)
            lengths = lengths_of[person]
            tokens[place] = lengths[self._draw(phone, len(lengths))].sum()
        return tokens

    def message_times_s(self, phone: int) -> NDArray[np.float64]:
        """float64 [messages], when each was written, in seconds since 1970; of people whose messages are dated."""
        dated: Any = self._people
        if phone < self._people.num_phones:
            return np.asarray(dated.message_times_s(phone), np.float64)
        person, drawn = self._messages_of(phone)
        return np.asarray(dated.message_times_s(person)[drawn], np.float64)

    def types(self, phone: int, messages: NDArray[np.int64] | None = None) -> _Text:
        """(type ids [tokens], offsets [messages + 1]) of all messages of a phone, or of those asked for."""
        if phone < self._people.num_phones:
            return self._people.types(phone, messages)
        person, drawn = self._messages_of(phone)
        return self._people.types(person, drawn if messages is None else drawn[messages])

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[_Text]:
        """What `types` gives, for each of several phones."""
        return [self.types(int(phone)) for phone in phones]

    def _messages_of(self, phone: int) -> tuple[int, NDArray[np.int64]]:
        """(the person a further phone takes after, which of the person's messages it holds)."""
        person = int(self._takes_after[phone - self._people.num_phones])
        return person, np.sort(self._draw(phone, len(self._people.message_lengths(person))))

    def _draw(self, phone: int, written: int) -> NDArray[np.int64]:
        """Which messages of `written` it holds, in no order."""
        return generator(self._seed, "messages of a further phone", phone).integers(0, written, written)
