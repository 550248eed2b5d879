"""Scripts that the tokeniser has no words for: those written without spaces between them."""

from collections import Counter
from pathlib import Path

import regex

from client_model.text.formats.base import DataError
from typefleet.errors import expected

_WITHOUT_SPACES = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
_LETTERS = {name: regex.compile(rf"[\p{{L}}&&\p{{{name}}}]", regex.V1) for name in _WITHOUT_SPACES}
_LETTER = regex.compile(r"\p{L}")
_LOOKED_AT = 2000  # messages


class SpacesBetweenWords:
    """Looks at the first messages of a file, and refuses it if most of their letters are of such a script."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: list[str] | None = []

    def look_at(self, text: str) -> None:
        """Take another message into account, as long as there are not enough.

        Raises:
            DataError: there are enough now, and no words in them.
        """
        if self._texts is None:
            return
        self._texts.append(text)
        if len(self._texts) == _LOOKED_AT:
            self.settle()

    def settle(self) -> None:
        """Judge by what was seen.

        Raises:
            DataError: more than half of the letters are of scripts without spaces between words.
        """
        seen, self._texts = "\n".join(self._texts or ()), None
        found = Counter({name: len(letters.findall(seen)) for name, letters in _LETTERS.items()})
        if found.total() * 2 > len(_LETTER.findall(seen)):
            most = found.most_common(1)[0][0]
            raise DataError(expected(self._path, "text of a script with spaces between words", f"mostly {most}"))
