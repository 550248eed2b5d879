"""What a process that carries out runs is asked and what it says: one JSON object per line."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from typefleet.errors import MachineError, expected


@dataclass(frozen=True)
class RunRequest:
    """Carry out a run."""

    settings: str  # path of a TOML file
    seed: int
    output_dir: str
    going_on: bool  # with what is in the folder already


@dataclass(frozen=True)
class StopRequest:
    """Stop the run after the round that is under way."""


@dataclass(frozen=True)
class RoundNews:
    """A round is done."""

    completed: int
    held_out: Mapping[str, Any] | None  # metrics by name; None if the round was not evaluated


@dataclass(frozen=True)
class RunEnded:
    """The run has ended without an error."""

    finished: bool  # False: it was stopped and can go on
    begun_after_s: float  # from the request to the first round


@dataclass(frozen=True)
class RunFailed:
    """The run has ended with an error, or was refused."""

    cause: str


Message: TypeAlias = RunRequest | StopRequest | RoundNews | RunEnded | RunFailed
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (RunRequest, StopRequest, RoundNews, RunEnded, RunFailed)
}


class Line:
    """A message as a line, and back."""

    KIND: ClassVar[str] = "kind"

    @classmethod
    def of(cls, message: Message) -> str:
        """With its end."""
        return json.dumps({cls.KIND: type(message).__name__, **asdict(message)}) + "\n"

    @classmethod
    def read(cls, line: str) -> Message:
        """The message of a line.

        Raises:
            MachineError: it holds none; the two processes are of different versions, or something else wrote it.
        """
        try:
            found = dict(json.loads(line))
            return _KINDS[found.pop(cls.KIND)](**found)
        except (ValueError, KeyError, TypeError) as error:
            raise MachineError(
                expected("a process that carries out runs", "a line of its own", "another one")
            ) from error
