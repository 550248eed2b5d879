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

from client_model.metrics.intervals import Interval, share_over_people
from client_model.suggestions.personal_words import PersonalSettings, PersonalWords
from client_model.suggestions.strip import Strip
from client_model.text.population import Population
from client_model.text.vocabulary import BOS, FIRST_WORD, OOV, PUNCTUATION, Vocabulary
from client_model.tflite.interpreter import FileSteps
from simulation.tables import print_table

FILE, UNREPEATED, PERSONAL = range(3)  # the keyboards
INSIDE, ALL, KNOWN = range(3)  # words of the vocabulary; all words; those outside that this person wrote twice before
_ROWS = ("vocabulary", "all words", "own, new")


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


def gain_of_personal(measured: Measured, kind: int, best: int) -> Interval | None:
    """What personal words add to the pooled recall of the file, with its 95 % bootstrap interval over people.

    Args:
        measured: of some people.
        kind: of words.
        best: 0 for the first suggestion, 1 for the three.

    Returns:
        None where nobody wrote such a word.
    """
    gain = measured.hits[:, PERSONAL, kind, best] - measured.hits[:, FILE, kind, best]
    return share_over_people(gain, measured.words[:, kind])


def print_measured(console: Console, measured: Measured) -> None:
    """Print one row for each kind of word: recall of each keyboard, and what personal words add."""
    rows = []
    for kind, name in enumerate(_ROWS):
        if not (words := int(measured.words[:, kind].sum())):
            continue
        recall = 100 * measured.hits[:, :, kind].sum(0) / words  # [3 keyboards, 2]
        for best, label in enumerate(("first", "three")):
            gain = gain_of_personal(measured, kind, best)
            shares = [f"{recall[keyboard, best]:.2f}" for keyboard in (FILE, UNREPEATED, PERSONAL)]
            head = [name, f"{words:,}"] if best == 0 else ["", ""]
            rows.append([*head, label, *shares, _gain_text(gain)])
    headings = (
        *("recall, %\nof", "\nwords", "\namong", "file\nalone", "not\ntwice", "own\nwords"),
        "own words add,\npoints (95 %)",
    )
    print_table(console, headings, rows)


def _gain_text(gain: Interval | None) -> str:
    if gain is None:
        return "-"
    if gain.low is None or gain.high is None:
        return f"{100 * gain.mean:+.2f}"
    return f"{100 * gain.mean:+.2f} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
