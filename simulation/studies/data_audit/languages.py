"""Which languages phones write in, by the package py3langid: each phone by the beginning of what it wrote.

A message alone is too short to tell. Of many phones a sample is looked at: those with the smallest digests, whatever
the order of the file.
"""

import heapq
from collections import Counter
from dataclasses import dataclass

from client_model.text.formats.base import Message
from client_model.text.personal.telephones import EXTRA
from client_model.text.tokenising import user_digest
from typefleet.steps import each

PACKAGE = "py3langid"
MOST_PHONES = 2000
_CHARACTERS, _LEAST_LETTERS = 500, 40  # of a phone


@dataclass(frozen=True)
class Languages:
    """Phones by language, the most frequent first."""

    phones: int  # that were looked at, with enough text
    by_language: tuple[tuple[str, int], ...] | None  # (ISO 639-1, phones)
    why: str = ""  # there is none


class PhonesTexts:
    """Keeps the beginning of what some phones wrote, in bounded memory."""

    def __init__(self, most: int = MOST_PHONES) -> None:
        self._most = most
        self._texts: dict[int, str] = {}
        self._largest: list[int] = []  # negated digests of the phones that are kept, as a heap

    def see(self, message: Message) -> None:
        """Take another message into account.

        Args:
            message: as it was written.
        """
        digest = user_digest(message.user_id)
        if digest in self._texts:
            kept = self._texts[digest]
            if len(kept) < _CHARACTERS:
                self._texts[digest] = f"{kept}\n{message.text}"[:_CHARACTERS]
        elif len(self._texts) < self._most or digest < -self._largest[0]:
            heapq.heappush(self._largest, -digest)
            self._texts[digest] = message.text[:_CHARACTERS]
            if len(self._texts) > self._most:
                del self._texts[-heapq.heappop(self._largest)]

    def languages(self) -> Languages:
        """The languages of those phones."""
        try:
            from py3langid import classify
        except ImportError:
            return Languages(0, None, f"not looked for: the package {PACKAGE} is not installed (extra {EXTRA})")
        texts = [text for text in self._texts.values() if sum(map(str.isalpha, text)) >= _LEAST_LETTERS]
        if not texts:
            return Languages(0, None, f"no phone with {_LEAST_LETTERS} letters")
        found = Counter(str(classify(text)[0]) for text in each("telling languages", texts, len(texts)))
        return Languages(len(texts), tuple(sorted(found.items(), key=lambda one: (-one[1], one[0]))))
