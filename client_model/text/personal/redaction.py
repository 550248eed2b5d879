"""A phone's messages without personal data, before they are cut into tokens.

`mask` puts one word outside of every vocabulary where personal data stood: a model may learn that something unknown
stands there, and can suggest none of it. One word for all kinds: a word for each would be one that can be learned and
suggested, and would tell of a phone that it writes card numbers. `drop` leaves the whole message out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from client_model.text.personal.kinds import Finding
from client_model.text.personal.scanner import Scanner, redacting_scanner
from client_model.text.vocabulary import OOV, SPECIAL_TOKENS, tokenize

Mode = Literal["off", "mask", "drop"]
MASK = SPECIAL_TOKENS[OOV]
"""What stands for personal data; no text can have it, since the tokeniser knows no angle brackets."""


@dataclass
class Redaction:
    """Takes personal data out of texts, and counts."""

    mode: Mode
    scanner: Scanner | None  # None: mode off
    masked: int = 0  # places
    dropped: int = field(default=0)  # messages

    @classmethod
    def of(cls, mode: Mode, regions: Sequence[str]) -> "Redaction":
        """As settings ask for it.

        Raises:
            ConfigError: something that is to be taken out could not be looked for.
        """
        return cls(mode, None if mode == "off" else redacting_scanner(regions))

    def tokens(self, text: str) -> list[str]:
        """The tokens of what may stay; none of a message that is left out.

        Args:
            text: as it was written.
        """
        found = [] if self.scanner is None else self.scanner.find(text)
        if not found:
            return tokenize(text)
        if self.mode == "drop":
            self.dropped += 1
            return []
        self.masked += len(found)
        return masked_tokens(text, found)


def masked_tokens(text: str, found: Sequence[Finding]) -> list[str]:
    """The tokens of a text with a mask in the place of each finding.

    Args:
        text: as it was written.
        found: in the order of the text, without overlap.
    """
    tokens, begin = [], 0
    for one in found:
        tokens += [*tokenize(text[begin : one.begin]), MASK]
        begin = one.end
    return tokens + tokenize(text[begin:])
