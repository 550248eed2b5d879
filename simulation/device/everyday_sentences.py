"""Everyday sentences, typed on an exported keyboard: what it suggests before each word, and how often it is right."""

from collections.abc import Sequence
from typing import TextIO

from simulation.device.keyboard import Keyboard
from typefleet.errors import printable

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


def type_sentences(stream: TextIO, keyboard: Keyboard, sentences: Sequence[str] = SENTENCES) -> tuple[int, int, int]:
    """Print each sentence with the three suggestions before each word, `*` behind a word that is among them.

    Args:
        stream: where to.
        keyboard: which one.
        sentences: what is typed.

    Returns:
        (words, how many of them were the first suggestion, how many were among the three).
    """
    words = first = three = 0
    for sentence in sentences:
        read = keyboard.read(sentence)
        if not read:
            continue
        typed = [(shown, word) for shown, word in read if any(letter.isalnum() for letter in word)]  # no punctuation
        words += len(typed)
        first += sum(shown[0] == word for shown, word in typed)
        three += sum(word in shown for shown, word in typed)
        line = " ".join(f"[{' '.join(shown)}] {word}{'*' * (word in shown)}" for shown, word in read)
        print(printable(line), file=stream)
    share = f" ({three / words:.0%})" if words else ""
    print(f"{words} words: {first} were the first suggestion, {three}{share} among the three", file=stream)
    return words, first, three
