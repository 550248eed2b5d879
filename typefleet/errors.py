"""Every error that Typefleet raises about what it was given or what became of the machine.

    TypefleetError
    |-- InputError            something that was handed in cannot be used
    |   |-- ConfigError       a setting: `--flag: expected X, found Y`
    |   |-- UnknownKindError  a name that is registered at no extension point
    |   `-- ...               text, vocabularies, traces, ledgers, model files: defined where they are read
    `-- MachineError          the machine failed; the run can be resumed
        `-- ...               engine, checkpoints, exports: defined where they are written

A script turns any of them into one line on standard error and exit code 2 (`simulation.run_door`);
everything else that is raised is a defect of Typefleet itself and keeps its traceback.

Messages have one form, `WHERE: expected X, found Y`, where WHERE is a flag, a file, or file:line. What people wrote
is never repeated in them. `expected` makes it, `unreadable` and `unwritable` make it for what the operating system
refused, and `said_of` says it of another place.
"""

import re

# What a terminal obeys instead of showing it: control characters, ends of lines, marks that turn a line around.
_OBEYED = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)


class TypefleetError(Exception):
    """Base of all of Typefleet's errors; its text is one line for a reader.

    A name in it, of a file or a key, may have any characters; those that a terminal would obey are written out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message if message.isprintable() else _in_one_line(message))


class InputError(TypefleetError, ValueError):
    """Something that was handed in cannot be used."""


class MachineError(TypefleetError, RuntimeError):
    """The machine, its disk or a process failed; what was durable before is still there."""


class ConfigError(InputError):
    """A setting that cannot be used; the message names the flag, or file and key."""


class UnknownKindError(InputError):
    """A name under which nothing is registered."""


def _in_one_line(text: str) -> str:
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in joined)


def expected(where: object, expectation: str, found: object) -> str:
    """`WHERE: expected X, found Y`.

    Example:
        >>> expected("--rounds", "a number >= 1", -3)
        '--rounds: expected a number >= 1, found -3'
    """
    return f"{where}: expected {expectation}, found {found}"


def unreadable(path: object, error: Exception, what: str = "a file that can be read") -> str:
    """What is wrong with a file that could not be read: the operating system's reason, or that it is no text.

    Example:
        >>> unreadable("run.toml", FileNotFoundError(2, "No such file or directory"))
        'run.toml: expected a file that can be read, found no such file or directory'
    """
    if isinstance(error, UnicodeDecodeError):
        return expected(path, what, f"bytes that are not {error.encoding}")  # the bytes may be what people wrote
    return expected(path, what, said_by_system(error))


def unwritable(path: object, error: OSError) -> str:
    """What is wrong with a place that could not be written: the operating system's reason."""
    return expected(path, "a place that can be written", said_by_system(error))


def said_by_system(error: Exception) -> str:
    """The reason that the operating system gave, as it stands within a line.

    Example:
        >>> said_by_system(OSError(28, "No space left on device"))
        'no space left on device'
    """
    reason = str(getattr(error, "strerror", None) or error)
    begins = reason[:1].lower() if reason[1:2].islower() else reason[:1]  # RPC, for one, stays as it is
    return begins + reason[1:]


def said_of(where: object, error: Exception) -> str:
    """The message of an error, said of another place than its own.

    Example:
        >>> said_of("--rounds", ConfigError("rounds: expected a number >= 1, found -3"))
        '--rounds: expected a number >= 1, found -3'
    """
    before, marker, after = str(error).partition(": expected ")
    return f"{where}{marker}{after}" if marker else f"{where}: {before}"


def printable(text: str, kept: str = "") -> str:
    """A text that somebody else wrote, such as the name of a file, as it can be shown on a terminal: in one line.

    Args:
        text: whatever it is.
        kept: characters that stay all the same, such as line breaks of our own.

    Example:
        >>> printable("vocab.txt\\n\\x1b[1Aall is signed")
        'vocab.txt\\\\n\\\\x1b[1Aall is signed'
    """
    return _OBEYED.sub(lambda one: one[0] if one[0] in kept else ascii(one[0])[1:-1], text)
