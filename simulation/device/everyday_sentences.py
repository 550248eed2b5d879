"""Everyday sentences, typed on an exported keyboard: what it suggests before each word, and how often it is right."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from simulation.device.keyboard import Keyboard
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected, printable
from typefleet.untrusted.limits import SENTENCES as MOST_SENTENCES
from typefleet.untrusted.limits import SENTENCES_BYTES
from typefleet.untrusted.opening import read_text

SENTENCES = (
    "i am on my way home",
    "can you call me later",
    "what time is dinner tonight",
    "happy birthday to you",
    "see you tomorrow at work",
    "thank you so much for your help",
    "i don't know what to do",
    "do you want to go out",
    "sorry i am late again",
    "how are you doing today",
    "that sounds like a great idea",
    "i will be there in ten minutes",
)


def chosen_sentences(given: Sequence[str] = (), file: Path | None = None) -> Sequence[str]:
    """What is to be typed: the built-in sentences where nobody chose others.

    Args:
        given: sentences.
        file: a text file in UTF-8, one sentence a line; empty lines are none.

    Raises:
        ConfigError: both are given, or the name of a file in the place of a sentence; the file cannot be read, has no
            sentence, or more than anybody types.
    """
    if file is not None:
        if given:
            raise ConfigError(expected("--file", "only without --sentences", "it with"))
        return _sentences_of(file)
    if len(given) == 1 and _is_file(given[0]):
        raise ConfigError(expected("--sentences", "sentences to type", "the name of a file; --file reads one"))
    if given and not any(sentence.strip() for sentence in given):
        raise ConfigError(expected("--sentences", "sentences to type", "none"))
    return given or SENTENCES


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name can be, or with NUL in it
        return False


def _sentences_of(path: Path) -> Sequence[str]:
    what = "sentences, one a line"
    lines = read_text(path, what, ConfigError, SENTENCES_BYTES).split("\n")
    sentences = [line.strip() for line in lines if line.strip()]
    if not sentences:
        raise ConfigError(expected(path, what, "none"))
    if len(sentences) > MOST_SENTENCES:
        raise ConfigError(expected(path, f"at most {MOST_SENTENCES:,} {what}", f"{len(sentences):,}"))
    return sentences


def _wrapped(line: str, stream: TextIO) -> str:
    """On a terminal, lines of its width that end between words; elsewhere one, for programs to read."""
    if not stream.isatty():
        return line
    width = console_for(stream).width
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _line(keyboard: Keyboard, read: Sequence[tuple[tuple[str, ...], str]]) -> str:
    """A sentence, before each token what is suggested there, as it would be shown."""
    tokens, parts = [token for _, token in read], []
    for place, (words, token) in enumerate(read):
        parts.append(f"[{' '.join(keyboard.shown(words, tokens[:place]))}] {token}{'*' * (token in words)}")
    return " ".join(parts)


def type_sentences(stream: TextIO, keyboard: Keyboard, sentences: Sequence[str] = SENTENCES) -> tuple[int, int, int]:
    """Print each sentence with the three suggestions before each word, `*` behind a word that is among them.

    Args:
        stream: where to.
        keyboard: which one; with additions, each sentence is sent once it is typed, and its words count from then on.
        sentences: what is typed.

    Returns:
        (words, how many of them were the first suggestion, how many were among the three).
    """
    words = first = three = 0
    for sentence in sentences:
        read = keyboard.read(sentence)
        if not read:
            continue
        typed = [(offered, word) for offered, word in read if any(map(str.isalnum, word))]  # no punctuation
        words += len(typed)
        first += sum(word in offered[:1] for offered, word in typed)
        three += sum(word in offered for offered, word in typed)
        print(_wrapped(printable(_line(keyboard, read)), stream), file=stream)
        keyboard.remember(sentence)
    share = f" ({three / words:.0%})" if words else ""
    counted = f"{words} words: {first} were the first suggestion, {three}{share} among the three"
    print(_wrapped(counted, stream), file=stream)
    return words, first, three
