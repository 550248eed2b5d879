"""What somebody's own part raised, in one line that says which part it was and where to look."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typefleet.errors import ConfigError, TypefleetError, expected


def kind_and_place(error: BaseException) -> str:
    """Kind of an error and the line that raised it. Its message is left out: it might quote somebody's text.

    Example:
        >>> kind_and_place(KeyError("what somebody wrote"))
        'KeyError'
    """
    frames = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + (f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "")


@contextmanager
def calling(part: str, what: str) -> Iterator[None]:
    """Say of which part an error is that is raised in the block, and that it is not ours.

    Args:
        part: which one, such as `server optimizer SignSteps`.
        what: that it is asked for, such as `a step`.

    Raises:
        ConfigError: the part raised something. Errors of Typefleet and of the machine are passed on: they say it.
    """
    try:
        yield
    except (TypefleetError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ConfigError(expected(part, what, kind_and_place(error))) from error
