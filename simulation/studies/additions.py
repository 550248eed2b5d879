"""What personal words add to a model's suggestions, measured on people whose messages are typed in their order.

Before each message the phone knows the earlier messages of the same person and nothing of anybody else. Three keyboards
suggest at every word: the file by itself; with no word repeated; and with the words that the person wrote before. Words
outside the vocabulary are never suggested by the first two, and can be by the third.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from client_model.keyed_random import generator
from client_model.suggestions.personal_words import PersonalSettings, PersonalWords
from client_model.suggestions.strip import Strip
from client_model.text.population import Population
from client_model.text.vocabulary import BOS, FIRST_WORD, OOV, PUNCTUATION, Vocabulary
from client_model.tflite.interpreter import FileSteps
from simulation.tables import print_table

FILE, UNREPEATED, PERSONAL = range(3)  # the keyboards
INSIDE, ALL, KNOWN = range(3)  # words of the vocabulary; all words; those outside that this person wrote twice before
_ROWS = ("vocabulary", "all words", "own, new")
_RESAMPLES = 2000


class Message(NamedTuple):
    """A message to type, and what the model says before each of its tokens."""

    tokens: list[str]
    logits: NDArray[np.float32] | None  # [tokens, V]; None for a message that is remembered only


@dataclass(frozen=True)
class Measured:
    """Of each person: words and hits by kind of word, int64 [people, 3 kinds] and [people, 3 keyboards, 3 kinds, 2]."""

    words: NDArray[np.int64]
    hits: NDArray[np.int64]
    """Last axis: the first suggestion was right, one of the three was."""


def messages_of(population: Population, phone: int) -> list[list[str]]:
    """A person's messages as tokens, in their order; a word past the lexicon is an empty token, written once only."""
    flat, offsets = population.types(phone)
    lexicon = population.lexicon
    tokens = [lexicon[kind] if kind < len(lexicon) else "" for kind in flat.tolist()]
    return [tokens[begin:end] for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def read_person(
    steps: FileSteps, vocabulary: Vocabulary, messages: Sequence[list[str]], newest: int
) -> Iterator[Message]:
    """Run the file over a person's newest messages.

    Args:
        steps: of the file.
        vocabulary: of its model.
        messages: all of the person's, in their order.
        newest: how many are read; those before are remembered only.
    """
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    for place, tokens in enumerate(messages):
        if place < len(messages) - newest or not tokens:
            yield Message(tokens, None)
        else:
            read = [BOS, *(ids.get(token, OOV) for token in tokens[:-1])]
            yield Message(tokens, steps.read(np.array(read, np.int32))[0])


def measure_person(
    vocabulary: Vocabulary, messages: Iterator[Message] | Sequence[Message], settings: PersonalSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(words [3 kinds], hits [3 keyboards, 3 kinds, 2]) of one person; see `Measured`."""
    strip, personal = Strip(vocabulary), PersonalWords(settings)
    listed = frozenset(vocabulary.tokens[FIRST_WORD:])
    words, hits = np.zeros(3, np.int64), np.zeros((3, 3, 2), np.int64)
    for tokens, logits in messages:
        if logits is not None:
            repeated = frozenset(personal.repeated())
            for place, word in enumerate(tokens):
                if word in PUNCTUATION:
                    continue
                inside = word in listed
                kinds = [INSIDE, ALL] if inside else [ALL, KNOWN] if word in repeated else [ALL]
                words[kinds] += 1
                for keyboard, three in enumerate(_suggestions(strip, logits[place], tokens[:place], personal)):
                    hits[keyboard, kinds] += (three[:1] == [word], word in three)
        personal.remember(token for token in tokens if token)
    return words, hits


def _suggestions(
    strip: Strip, logits: NDArray[np.float32], before: list[str], personal: PersonalWords
) -> tuple[list[str], list[str], list[str]]:
    return strip.plain(logits), strip.words(logits, before), strip.words(logits, before, personal=personal)


def measure(
    steps: FileSteps, vocabulary: Vocabulary, people: Iterator[list[list[str]]], settings: PersonalSettings, newest: int
) -> Measured:
    """Type the newest messages of some people.

    Args:
        steps: of the exported file.
        vocabulary: of its model.
        people: the messages of each, in their order.
        settings: of the personal words.
        newest: how many messages of each are typed; those before are remembered.
    """
    found = [
        measure_person(vocabulary, read_person(steps, vocabulary, messages, newest), settings) for messages in people
    ]
    return Measured(np.array([words for words, _ in found]), np.array([hits for _, hits in found]))


def interval(measured: Measured, kind: int, best: int, seed: int) -> tuple[float, float, float]:
    """(gain of personal words over the file, and a 95 % interval over people), in points of pooled recall.

    Args:
        measured: of some people.
        kind: of words.
        best: 0 for the first suggestion, 1 for the three.
        seed: of the people drawn with replacement.
    """
    words = measured.words[:, kind]
    gain = measured.hits[:, PERSONAL, kind, best] - measured.hits[:, FILE, kind, best]
    drawn = generator(seed, "additions").integers(0, len(words), (_RESAMPLES, len(words)))
    some = words[drawn].sum(1) > 0
    resampled = 100 * gain[drawn].sum(1)[some] / words[drawn].sum(1)[some]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(100 * gain.sum() / words.sum()), float(low), float(high)


def print_measured(console: Console, measured: Measured, seed: int) -> None:
    """Print one row for each kind of word: recall of each keyboard, and what personal words add."""
    rows = []
    for kind, name in enumerate(_ROWS):
        if not (words := int(measured.words[:, kind].sum())):
            continue
        recall = 100 * measured.hits[:, :, kind].sum(0) / words  # [3 keyboards, 2]
        gains = [interval(measured, kind, best, seed) for best in (0, 1)]
        for best, label in enumerate(("first", "three")):
            gain, low, high = gains[best]
            shares = [f"{recall[keyboard, best]:.2f}" for keyboard in (FILE, UNREPEATED, PERSONAL)]
            head = [name, f"{words:,}"] if best == 0 else ["", ""]
            rows.append([*head, label, *shares, f"{gain:+.2f} ({low:+.2f} to {high:+.2f})"])
    headings = (
        *("recall, %\nof", "\nwords", "\namong", "file\nalone", "not\ntwice", "own\nwords"),
        "own words add,\npoints (95 %)",
    )
    print_table(console, headings, rows)
