"""Reading Flower's records with a clear error for what is missing or of another kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from typefleet.errors import InputError, expected

Kind = TypeVar("Kind")  # of records


class ProtocolError(InputError):
    """A message without the form that `server_strategy.protocol` describes."""


def found_record(content: RecordDict, kind: type[Kind], name: str) -> Kind | None:
    """The record of a kind and a name; None if there is none.

    Flower's own views of the records of a kind, such as `content.array_records`, refer to themselves and to the
    content: a message that was looked at through one stays in memory until the garbage collector comes, and sums are
    large.
    """
    record = content.get(name)
    return record if isinstance(record, kind) else None


def record_of(content: RecordDict, kind: type[Kind], name: str, where: str) -> Kind:
    """The record of a kind and a name.

    Args:
        content: of a message.
        kind: such as `MetricRecord`.
        name: of the record.
        where: what the content belongs to, for the error.

    Raises:
        ProtocolError: there is none.
    """
    record = found_record(content, kind, name)
    if record is None:
        raise ProtocolError(expected(where, f"a record {name}", "none"))
    return record


def as_list(value: Any) -> list[Any]:
    """A value as a list; Flower gives single ones bare."""
    return list(value) if isinstance(value, list | tuple) else [value]


@dataclass(frozen=True)
class RecordReader:
    """A record whose values are checked as they are read."""

    where: str
    record: Mapping[str, Any]

    def integers(self, key: str, length: int | None = None, missing: Sequence[int] | None = None) -> NDArray[np.int64]:
        """int64 [length]; `missing` stands in for a key that is not there."""
        values = self._list(key, missing)
        if not all(type(value) is int for value in values):
            raise ProtocolError(expected(self.where, f"{key} to be integers", _kinds(values)))
        return self._of_length(key, np.array(values, np.int64), length)

    def numbers(self, key: str, length: int | None = None) -> NDArray[np.float64]:
        """float64 [length]; integers are taken for floats."""
        values = self._list(key, None)
        if not all(type(value) in (int, float) for value in values):
            raise ProtocolError(expected(self.where, f"{key} to be numbers", _kinds(values)))
        return self._of_length(key, np.array(values, np.float64), length)

    def of_each(self, key: str, phones: int) -> NDArray[Any]:
        """int64 or float64: [phones], or [phones, n] for n numbers of each phone."""
        values = self._list(key, None)
        whole = all(type(value) is int for value in values)
        found = self.integers(key) if whole else self.numbers(key)
        if phones == len(found):
            return found
        if not phones or not len(found) or len(found) % phones:
            raise ProtocolError(expected(self.where, f"equally many {key} for each of {phones} phones", len(found)))
        return found.reshape(phones, -1)

    def integer(self, key: str) -> int:
        """The one integer of this key."""
        return int(self.integers(key, 1)[0])

    def number(self, key: str, missing: float | None = None) -> float:
        """The one number of this key; `missing` stands in for a key that is not there."""
        if missing is not None and key not in self.record:
            return missing
        return float(self.numbers(key, 1)[0])

    def text(self, key: str, missing: str) -> str:
        """One text; `missing` stands in for a key that is not there."""
        value = self.record.get(key, missing)
        if not isinstance(value, str):
            raise ProtocolError(expected(self.where, f"{key} to be a text", _kinds([value])))
        return value

    def _list(self, key: str, missing: Sequence[int] | None) -> list[Any]:
        if key not in self.record and missing is None:
            raise ProtocolError(expected(self.where, f"a value {key}", "none"))
        return as_list(self.record.get(key, missing))

    def _of_length(self, key: str, values: NDArray[Any], length: int | None) -> NDArray[Any]:
        if length is not None and len(values) != length:
            raise ProtocolError(expected(self.where, f"{length} of {key}", len(values)))
        return values


def _kinds(values: list[Any]) -> str:
    return " and ".join(sorted({type(value).__name__ for value in values}))
