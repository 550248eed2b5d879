"""What a phone is called in a file of consents.

A person's phone by the user id that the text's file has for it; a phone without a user id in the text (synthetic text,
and the further phones of a fleet larger than its people) by `#` and its number in the fleet, from 0.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.text.tokenising import user_digest

_NUMBER = re.compile(r"#(0|[1-9][0-9]{0,9})")
UNKNOWN, NOT_IN_FLEET = -1, -2


@dataclass(frozen=True)
class PhoneLabels:
    """The names of a fleet's phones.

    Attributes:
        num_phones: in the fleet.
        people: uint64 [people], digests of the user ids of the first phones; none for synthetic text.
        others: uint64, digests of people in the text who have no phone in the fleet, in a fleet smaller than that.
    """

    num_phones: int
    people: NDArray[np.uint64]
    others: NDArray[np.uint64]

    def rows(self, labels: list[str]) -> NDArray[np.int64]:
        """int64 [labels]: the phone of each label; UNKNOWN, or NOT_IN_FLEET for a person who has none there."""
        phone_of = {digest: row for row, digest in enumerate(self.people.tolist())}
        elsewhere = set(self.others.tolist())
        found: dict[str, int] = {}
        for label in labels:
            if label not in found:
                found[label] = self._row(label, phone_of, elsewhere)
        return np.array([found[label] for label in labels], np.int64)

    def _row(self, label: str, phone_of: dict[int, int], elsewhere: set[int]) -> int:
        digest = user_digest(label)
        if digest in phone_of:
            return phone_of[digest]
        number = _NUMBER.fullmatch(label)
        if number is not None and len(self.people) <= int(number[1]) < self.num_phones:
            return int(number[1])
        return NOT_IN_FLEET if digest in elsewhere else UNKNOWN
