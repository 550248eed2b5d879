"""LEAF's JSON: all of a benchmark's clients in one object, each with its list `x` of samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from client_model.text.formats.base import DataError, Message, message_of
from client_model.text.formats.compressed import opened
from typefleet.doors import Kind, KindSettings
from typefleet.errors import expected
from typefleet.untrusted.json_values import json_value
from typefleet.untrusted.limits import JSON_BYTES
from typefleet.untrusted.opening import size_of


@dataclass(frozen=True)
class LeafSettings(KindSettings):
    """Where a sample has its text."""

    sample_index: Annotated[int, Ge(0)] | None = None
    """Place of the text in samples that are lists, from 0: 4 for Sent140. Without it samples are texts."""


@dataclass(frozen=True)
class Leaf:
    """`users` in order, `num_samples` of each, and `user_data` with their samples: texts, or lists that have one.

    The file is held in memory while it is read.
    """

    settings: LeafSettings = LeafSettings()

    endings: ClassVar[tuple[str, ...]] = ()  # .json says too little

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each sample as a message, or a DataError in place of each that is no text; labels are ignored.

        Raises:
            DataError: the file is none of LEAF's, or its parts contradict each other.
        """
        content = _content(path)
        users, data = content["users"], content["user_data"]
        counts = content.get("num_samples", [None] * len(users))
        if not all(isinstance(user, str | int) for user in users):
            raise DataError(expected(path, "users that are texts or numbers", "another value"))
        names = [str(user) for user in users]
        if not isinstance(counts, list) or len(counts) != len(users) or set(data) != set(names):
            wanted = "the same users in users, num_samples and user_data"
            raise DataError(expected(path, wanted, "others"))
        if len(set(names)) < len(names):
            raise DataError(expected(path, "each of the users once", "one a second time"))
        for number, (user, count) in enumerate(zip(users, counts, strict=True), start=1):
            where, of_user = f"{path}: user {number}", data[str(user)]
            samples = of_user.get("x") if isinstance(of_user, dict) else None
            if not isinstance(samples, list):
                raise DataError(expected(where, "x, a list of texts", "none"))
            if count is not None and (isinstance(count, bool) or count != len(samples)):
                raise DataError(expected(where, "as many samples as num_samples says", len(samples)))
            for place, sample in enumerate(samples, start=1):
                yield self._message(user, sample, f"{where}, sample {place}")

    def _message(self, user: Any, sample: Any, where: str) -> Message | DataError:
        index = self.settings.sample_index
        if index is None:
            if isinstance(sample, list):
                return DataError(expected(where, "a text, or --data.sample-index, its place in a list", "a list"))
            return message_of({"user_id": user, "text": sample}, where)
        if not isinstance(sample, list) or len(sample) <= index:
            return DataError(expected(where, f"a list of {index + 1} or more", _size(sample)))
        return message_of({"user_id": user, "text": sample[index]}, where)


def _size(sample: Any) -> str:
    return f"one of {len(sample)}" if isinstance(sample, list) else "another value"


def _content(path: Path) -> dict[str, Any]:
    with opened(path) as file:
        raw = file.read(JSON_BYTES + 1)
    if len(raw) > JSON_BYTES:
        raise DataError(expected(path, f"JSON of at most {size_of(JSON_BYTES)}", "more"))
    content = json_value(raw.removeprefix(b"\xef\xbb\xbf"), path, "JSON", DataError, of_file=True)
    parts = {"users": list, "user_data": dict}
    if not isinstance(content, dict) or not all(isinstance(content.get(n), kind) for n, kind in parts.items()):
        raise DataError(expected(path, "an object with users and user_data", "none"))
    return content


KIND = Kind("leaf", "JSON of the LEAF benchmark, with texts as x", make=Leaf, settings=LeafSettings)
