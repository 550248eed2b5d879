"""Which phone of a run somebody means."""

import re

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import phone_labels
from client_model.text.tokenising import user_digest
from typefleet.errors import ConfigError, expected

NOBODY = "no phone of that name"
_LABEL = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"#(0|[1-9][0-9]{0,11})")


def find_phone(
    name: str, digests: NDArray[np.uint64], named: int, salt: str, flag: str = "--phone", *, nobody: str = NOBODY
) -> int:
    """The phone that a name stands for.

    Args:
        name: a user id as the data has it; or a label as the run's own records show it; or # and the phone's number,
            from 0, for phones without a user id, as those of synthetic text.
        digests: uint64 [phones], of the user ids.
        named: of the phones, the first, that have a user id in the data.
        salt: of the run's labels.
        flag: that the name was given with.
        nobody: what is said to be found where no phone has the name.

    Raises:
        ConfigError: no phone has that name, or two have.
    """
    found: set[int] = set(np.flatnonzero(digests == np.uint64(user_digest(name))).tolist())
    if (numbered := _NUMBER.fullmatch(name)) is not None:
        number = int(numbered[1])
        if named <= number < len(digests):
            found.add(number)
        elif not found:
            raise _no_such_number(flag, number, named, len(digests))
    if _LABEL.fullmatch(name):
        labels = phone_labels(salt, digests)
        found.update(number for number, label in enumerate(labels) if label == name)
    if len(found) != 1:
        what = "a user id of the data, a label of 16 hexadecimal digits from the run's records, or # and a number"
        raise ConfigError(expected(flag, what, nobody if not found else "more than one phone"))
    return found.pop()


def _no_such_number(flag: str, number: int, named: int, phones: int) -> ConfigError:
    if number < named:
        return ConfigError(expected(flag, "the user id of a phone that has one, or a label", "its number"))
    return ConfigError(expected(flag, f"a number below #{phones}", "a larger one"))
