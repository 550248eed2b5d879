"""The audit trail of a run: a line when a command begins on it, and one when that ends, in `audit_trail.jsonl`.

    {"number": 7, "event": "begin", "command": "export", "flags": ["--sign"], "user": ..., "files": {...}, ...}
    {"number": 8, "event": "end", "of": 7, "exit_code": 0, "files": {...}, ...}

It is written in one place, the door that every command comes through (`simulation.run_door`) and that the parser
of its flags tells which runs they name; a run that begins, or goes on, from Python is told by `simulation.start`. So no
command has a line of its own about it, and none can leave it out.

Of the arguments there are the names of the flags alone: a value may be a secret, the name of a phone or a path, and its
digest can be tried out. `files` says in which state the command found and left the run, by digests of its files. The
lines hang together as those of every `typefleet.chained_log`, and each has a random salt, so that the hash of the last
one can be kept anywhere and tells nobody anything.
"""

import hashlib
import json
import os
import pwd
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulation.subcommands import PROGRAM, SUBCOMMANDS
from typefleet.chained_log import ChainedLog
from typefleet.errors import ConfigError, TypefleetError, expected, printable

TRAIL = "audit_trail.jsonl"
ACTOR = "TYPEFLEET_ACTOR"  # in the environment: on whose behalf a command is given
BEGIN, END = "begin", "end"
HASHED = ("config.toml", "model/weights.npz", "model/manifest.json", "privacy_head.json", "release_signatures.json")
"""Files of which `files` has the SHA-256."""
CHAINED = ("privacy_ledger.jsonl", "deletions.jsonl", "forgotten.jsonl")
"""Files of which it has the hash of the last line."""
REFUSED, INTERRUPTED, DEFECT = 2, 130, 1  # exit codes, as commands have them

_LONGEST_NAME = 80  # characters, of an actor
_LAST_BYTES = 1 << 20  # of a chained file, in which its last line is looked for
_FLAG = re.compile(r"--?[a-z][a-z0-9.-]{0,79}")
_COMMAND = re.compile(r"[a-z][a-z0-9-]{0,39}")
_HEX = {64: re.compile(r"[0-9a-f]{64}"), 32: re.compile(r"[0-9a-f]{32}")}


class Recording:
    """One command, and the runs in whose trails it is."""

    def __init__(self, command: str, flags: Sequence[str] = ()) -> None:
        self.command, self.flags = command, flags
        self.exit_code = 0
        self._begun: dict[Path, int | None] = {}  # number of the line; None where none could be written

    def begin_on(self, folder: Path) -> None:
        """Write that the command begins on a run; once, and on what is no run not at all.

        Raises:
            ConfigError: the environment names nobody that a line can have.
        """
        root = run_of(folder)
        if root is None or (root := root.resolve()) in self._begun:
            return
        from importlib.metadata import version  # ten milliseconds, which not every command is to spend

        begins = {
            **_now(BEGIN),
            "command": self.command or "python",
            "flags": list(self.flags),
            "user": _user(),
            "actor": _actor(),
            "version": version(PROGRAM),
        }
        self._begun[root] = _append(root, begins)

    def end(self) -> None:
        """Write what became of the command into each trail that has its beginning."""
        for root, number in self._begun.items():
            if number is not None:
                _append(root, {**_now(END), "of": number, "exit_code": self.exit_code})
        self._begun.clear()


_current: ContextVar[Recording | None] = ContextVar("recording", default=None)


@contextmanager
def recording(command: str = "") -> Iterator[Recording]:
    """Within, a command is under way; of one within another only the outer one is recorded.

    Args:
        command: the subcommand; empty where its flags are yet to be read.
    """
    outer = _current.get()
    if outer is not None:
        outer.command = outer.command or command
        try:
            yield outer
        except BaseException as error:
            outer.exit_code = exit_code_of(error)  # unless the outer one makes something else of it
            raise
        return
    own = Recording(command)
    token = _current.set(own)
    try:
        yield own
    except BaseException as error:
        own.exit_code = exit_code_of(error)
        raise
    finally:
        _current.reset(token)
        own.end()


def recorded(body: Callable[[], int]) -> int:
    """Carry a command out, and write what became of it into the trails of the runs that it was on.

    Args:
        body: gives the exit code.
    """
    with recording() as record:
        record.exit_code = body()
    return record.exit_code


def has_parsed(module: str, argv: Sequence[str], named: Iterable[Path]) -> None:
    """Say which command is under way, and begin on the runs that its flags name.

    Args:
        module: of the command, in simulation.commands; any other is none.
        argv: its arguments, of which the names of flags are kept.
        named: paths that it was given, which may be runs.

    Raises:
        ConfigError: as of `Recording.begin_on`.
    """
    current = _current.get()
    if current is None:
        return
    name = next((word for word, one in SUBCOMMANDS.items() if one.module == module), None)
    if name is not None:
        current.command, current.flags = name, flag_names(argv)
    for path in named:
        current.begin_on(path)


def begin_on(folder: Path) -> None:
    """Write into a run's trail that the command under way, if there is one, begins on it; see `Recording.begin_on`."""
    if (current := _current.get()) is not None:
        current.begin_on(folder)


def paths_in(flags: Any) -> list[Path]:
    """Paths among a command's own flags, which are not settings of a run."""
    values = [getattr(flags, f.name) for f in fields(flags)]
    listed = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [one for one in listed if isinstance(one, Path)]


def flag_names(argv: Sequence[str]) -> list[str]:
    """The flags in some arguments, each once, without their values.

    Example:
        >>> flag_names(["runs/1", "--phone=anna", "--no_report", "--", "--not-one"])
        ['--phone', '--no-report']
    """
    before = argv[: argv.index("--")] if "--" in argv else argv
    names = (word.partition("=")[0].replace("_", "-") for word in before if word.startswith("-"))
    return list(dict.fromkeys(name for name in names if _FLAG.fullmatch(name)))


def run_of(path: Path) -> Path | None:
    """The folder of a run, if the path is one or its folder of exported files; else None."""
    with suppress(OSError):  # who may not look into it finds no run there
        for folder in (path, path.parent) if path.name == "model" else (path,):
            if (folder / "config.toml").is_file() and (folder / "model").is_dir():
                return folder
    return None


def _append(root: Path, says: dict[str, Any]) -> int | None:
    """The number of the line; where none can be written a note says so, and the command goes on."""
    try:
        return FORM.append(root, {**says, "files": files_of(root), "salt": secrets.token_hex(16)}, verify=False).number
    except ConfigError as error:
        with suppress(OSError):  # the terminal may have gone
            print(f"note: {printable(str(error))}; the audit trail has no line of this", file=sys.stderr)
        return None


def files_of(root: Path) -> dict[str, str]:
    """In which state a run's files are, those that are there and can be read.

    Returns:
        SHA-256 of those in HASHED, hash of the last whole line of those in CHAINED, by name; 64 hexadecimal digits.
    """
    found: dict[str, str] = {}
    for name in HASHED:
        with suppress(OSError), (root / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    for name in CHAINED:
        with suppress(OSError):
            if digest := _last_hash(root / name):
                found[name] = digest
    return found


def head_of_trail(root: Path) -> str:
    """The hash of the last line of a run's trail, to be kept elsewhere; empty where there is none."""
    with suppress(OSError):
        return _last_hash(root / TRAIL)
    return ""


def _last_hash(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _LAST_BYTES, 0))
        line = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    with suppress(ValueError, AttributeError):  # whoever reads that file in earnest says what is wrong with it
        found = json.loads(line).get("hash")
        return found if isinstance(found, str) and _HEX[64].fullmatch(found) else ""
    return ""


def _now(event: str) -> dict[str, Any]:
    return {"event": event, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}"}


def _user() -> str:
    """As the system calls whoever this process belongs to."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _actor() -> str | None:
    name = os.environ.get(ACTOR)
    if name is not None and not _is_name(name):
        raise ConfigError(expected(ACTOR, f"a name of 1 to {_LONGEST_NAME} printable characters", "another text"))
    return name


def _is_name(text: object) -> bool:
    return isinstance(text, str) and text.isprintable() and 0 < len(text.strip()) <= len(text) <= _LONGEST_NAME


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that ends with an error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return REFUSED if isinstance(error, TypefleetError | OSError | MemoryError) else DEFECT


_COMMON = {"event", "at", "files", "salt"}
_BEGINS = {*_COMMON, "command", "flags", "user", "actor", "version"}
_ENDS = {*_COMMON, "of", "exit_code"}


def _is_line(says: Mapping[str, Any]) -> bool:
    event, files = says.get("event"), says.get("files")
    is_of_its_kind = _is_end(says) if event == END else event == BEGIN and _is_begin(says)
    return (
        is_of_its_kind
        and isinstance(files, dict)
        and files.keys() <= {*HASHED, *CHAINED}
        and all(isinstance(one, str) and _HEX[64].fullmatch(one) is not None for one in files.values())
        and isinstance(says["salt"], str)
        and _HEX[32].fullmatch(says["salt"]) is not None
        and _is_utc(says["at"])
    )


def _is_begin(says: Mapping[str, Any]) -> bool:
    flags = says.get("flags")
    return (
        says.keys() == _BEGINS
        and isinstance(says["command"], str)
        and _COMMAND.fullmatch(says["command"]) is not None
        and isinstance(flags, list)
        and all(isinstance(one, str) and _FLAG.fullmatch(one) is not None for one in flags)
        and isinstance(says["user"], str)
        and says["user"].isprintable()
        and (says["actor"] is None or _is_name(says["actor"]))
        and isinstance(says["version"], str)
        and says["version"].isprintable()
    )


def _is_end(says: Mapping[str, Any]) -> bool:
    return says.keys() == _ENDS and type(says["of"]) is int and type(says["exit_code"]) is int


def _is_utc(text: object) -> bool:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return False
    return at is not None and at.utcoffset() is not None


FORM = ChainedLog(TRAIL, "an audit trail", _is_line)
"""How a trail is written and read."""
