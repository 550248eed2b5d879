"""What is handed to every parser to see it refuse: parsers, cases, and what becomes of one.

A `Parser` is a kind of untrusted input with the function that the scripts call for it; a `Case` is one input with what
is expected of it. A module of this folder whose name ends in `_cases.py` is found by itself, and has

    PARSERS: the kinds, each of which is tried with all `mutations.MUTATIONS` of a valid file, and by hypothesis;
    CASES: further inputs, made by code.

An input is handled well if it is accepted rightly, or refused by an `InputError` in one printable line of the form
`WHERE: expected X, found Y`, which repeats nothing of the content, in which `MARKER` is planted; in little time and
memory.
"""

import os
import re
import resource
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from typefleet.errors import InputError

MARKER = "zqxsecret"  # stands in the content of every valid file; tokenised it is one word
LONGER = int(os.environ.get("TYPEFLEET_FUZZ_EXAMPLES", 0))  # random changes of each kind; 0: as few as fit in a suite
TIME_LIMIT_S = 5.0  # of the processor for one case
_WAIT_TIMES = (
    60  # as long in all: what waits for ever takes no time of the processor, and a busy machine much of others
)
MEMORY_LIMIT_BYTES = 3 * 2**30  # more address space than there was before the case
RESIDENT_LIMIT_BYTES = 400 * 2**20  # more resident memory than ever before the case
_FORM = re.compile(r"\S.*: expected .+, found .+")
_LONGEST_MESSAGE = 700


@dataclass(frozen=True)
class Parser:
    """A kind of untrusted input.

    Attributes:
        kind: its name, one word.
        write: writes a valid input, with MARKER in its content, into a folder that is there and empty.
        file: the file in that folder that is damaged.
        door: reads it as the scripts do; takes the folder.
        errors: what it raises of an input that cannot be used.
        without: names of mutations that do not fit.
        may_quote: whether messages may repeat short values, as of settings.
    """

    kind: str
    write: Callable[[Path], object]
    file: str
    door: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = (InputError,)
    without: frozenset[str] = frozenset()
    may_quote: bool = False


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        parser: whose.
        name: unique among those of its parser.
        make: changes what lies in the folder, which holds the parser's valid input.
        refused: what the message has, as a regular expression; "": any; None: the input is accepted.
        accepted: whether what the door gives is right; with `refused` None only.
        either: both will do, as of a random change: the message if it is refused, no other error if it is not.
        time_limit_s: of the processor that it may take.
    """

    parser: Parser
    name: str
    make: Callable[[Path], object]
    refused: str | None = ""
    accepted: Callable[[Any], bool] = lambda result: True
    either: bool = False
    time_limit_s: float = TIME_LIMIT_S


class TooSlowError(BaseException):
    """A case took longer than it may; nothing that catches exceptions stops it."""


def problem(case: Case, folder: Path) -> str | None:
    """What is wrong with how an input is handled; None: nothing.

    Args:
        case: the input.
        folder: empty; the input is made in it.
    """
    case.parser.write(folder)
    case.make(folder)
    try:
        with _limits(case.time_limit_s) as grown:
            result = case.parser.door(folder)
    except case.parser.errors as error:
        return _fault_of_message(case, str(error)) or _too_much(grown())
    except TooSlowError:
        return f"took longer than {case.time_limit_s} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "raised " + "".join(traceback.format_exception(error, limit=-4))
    if case.either:
        return _too_much(grown())
    if case.refused is not None:
        return f"was accepted: {result!r:.200}"
    return _too_much(grown()) or (None if case.accepted(result) else f"was read wrongly: {result!r:.200}")


def _fault_of_message(case: Case, message: str) -> str | None:
    if case.refused is None and not case.either:
        return f"was refused: {message}"
    if not _FORM.fullmatch(message) or not message.isprintable():
        return f"was refused in another form: {message!r}"
    if len(message) > _LONGEST_MESSAGE:
        return f"was refused at length: {message[:200]!r}..."
    if MARKER in message.lower() and not case.parser.may_quote:
        return f"was refused with its content: {message}"
    if case.refused and not re.search(case.refused, message):
        return f"was refused for another reason than {case.refused!r}: {message}"
    return None


def _too_much(grown: int) -> str | None:
    return f"took {grown / 2**20:.0f} MiB" if grown > RESIDENT_LIMIT_BYTES else None


@contextmanager
def _limits(seconds: float) -> Iterator[Callable[[], int]]:
    """Time and memory that a block may take; gives by how many bytes the most that was resident has grown."""
    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, _WAIT_TIMES * seconds),
    )

    def too_slow(*_: object) -> None:
        raise TooSlowError

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = {number: signal.signal(number, too_slow) for _, number, _ in timers}
    most = _most_resident()
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY_LIMIT_BYTES, hard))
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield lambda: _most_resident() - most
    finally:
        for timer, number, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@cache
def modules() -> list[Any]:
    """All modules of this folder that have parsers and cases."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*_cases.py"))
    return [import_module(f"tests.fuzz.{name}") for name in names]


def parsers() -> list[Parser]:
    """Those of all modules, by kind."""
    found = [parser for module in modules() for parser in module.PARSERS]
    assert len({parser.kind for parser in found}) == len(found), "two parsers of one kind"
    return sorted(found, key=lambda parser: parser.kind)


def cases_of(parser: Parser) -> list[Case]:
    """Those of its module, and one for each mutation that fits."""
    from tests.fuzz.mutations import mutated

    found = [case for module in modules() for case in module.CASES if case.parser is parser]
    found += mutated(parser)
    twice = {name for name, number in Counter(case.name for case in found).items() if number > 1}
    assert not twice, f"{parser.kind}: {twice}"
    return found


def problems(cases: Sequence[Case], root: Path) -> list[str]:
    """A line for each input that is handled badly.

    Args:
        cases: that are tried.
        root: a folder for theirs.
    """
    said = []
    for case in cases:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            if (found := problem(case, Path(folder))) is not None:
                said.append(f"{case.parser.kind}, {case.name}: {found}")
    return said
