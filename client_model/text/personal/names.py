"""Names of people, by the lists of given and family names that the package Faker keeps.

A capital in a listed name is taken as the sign of a name, which misses who writes all in small letters, every name that
is not on the list, and mistakes some words at the beginning of a sentence.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

PACKAGE = "faker"
LOCALES = ("en_US", "en_GB", "en_IN", "es_ES", "fr_FR", "de_DE", "it_IT")
# English words that are given names as well: they count only within a sentence.
_WORDS_TOO = frozenset(
    re.findall(
        r"\w+",
        "will may mark grace hope joy rose bill frank jack art dawn june april august summer faith christian "
        "drew chase pat sue rob guy dean grant penny ruby amber crystal heather holly ivy lily melody miles "
        "olive pearl ray robin sandy sky victor wade virginia georgia carolina austin dallas houston jordan "
        "paris chance destiny angel autumn cash earl harmony iris jade jasmine josh king major max misty nick "
        "norm page paige prince rich sage star tuesday wes worth bob carol chuck daisy don gene harry herb "
        "ken lance lane mercedes mike pierce reed rusty sally scarlet stone trinity brook ",
    )
)
_WORD = re.compile("[^\\W\\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}-][^\\W\\d_]+)*")
_ENDS_SENTENCE = frozenset(".!?:\n")

Find = Callable[[str], Iterator[tuple[int, int]]]


@cache
def _listed() -> tuple[frozenset[str], frozenset[str]] | None:
    """(given names, family names); None without the package."""
    given: set[str] = set()
    family: set[str] = set()
    try:
        for locale in LOCALES:
            provider: Any = import_module(f"{PACKAGE}.providers.person.{locale}").Provider
            given.update(provider.first_names)
            family.update(provider.last_names)
    except ImportError:
        return None
    return frozenset(given), frozenset(family)


def names() -> Find | None:
    """What finds them in a text: a given name, and a family name behind it; None without the package."""
    if (listed := _listed()) is None:
        return None
    given, family = listed

    def find(text: str) -> Iterator[tuple[int, int]]:
        if text.islower() or text.isupper():
            return
        pending: tuple[int, int] | None = None
        for found in _WORD.finditer(text):
            word, begin, end = found[0], found.start(), found.end()
            if not word[0].isupper():
                continue
            if pending is not None and text[pending[1] : begin] == " " and word in family:
                pending = (pending[0], end)
            elif word in given and not (word.lower() in _WORDS_TOO and _begins_sentence(text, begin)):
                if pending is not None:
                    yield pending
                pending = (begin, end)
        if pending is not None:
            yield pending

    return find


def _begins_sentence(text: str, begin: int) -> bool:
    before = text[:begin].rstrip(" \"'(")
    return not before or before[-1] in _ENDS_SENTENCE
