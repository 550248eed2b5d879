"""Somebody's own parts: whether one is there at all, and in one line what it raised, and where to look."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from typefleet.errors import ConfigError, TypefleetError, expected

T = TypeVar("T")


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


def made_by(where: str, make: Callable[..., T], arguments: Sequence[Any]) -> T:
    """What somebody's `make` gives.

    Args:
        where: names the part.
        make: a function or a class.
        arguments: that it is called with.

    Raises:
        ConfigError: it raises, or cannot be called so.
    """
    with calling(where, "a part that its make gives"):
        try:
            return make(*arguments)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            # Nothing of it was carried out: Python says which argument, or which method of its class, is missing.
            what = f"a make that takes {len(arguments)} argument{'s' * (len(arguments) != 1)} and gives a part"
            raise ConfigError(expected(where, what, error)) from error


def require_object(where: str, part: Any, needs: Sequence[str], named_in: str = "") -> None:
    """Refuse what is handed in as a part and is none.

    Args:
        where: the argument, such as `server_optimizer`.
        part: what was handed in.
        needs: names of what the part has.
        named_in: the setting that takes a name; a name handed in in the place of an object belongs there.

    Raises:
        ConfigError: a name, a class in the place of an object of it, or an object without what is needed.
    """
    what = f"an object with {', '.join(needs)}"
    if isinstance(part, str) and named_in:
        raise ConfigError(expected(where, what, f"{part!r}; a name belongs in RunConfig's {named_in}"))
    if isinstance(part, type):
        raise ConfigError(expected(where, what, f"the class {part.__name__} itself; hand in an object of it"))
    with calling(where, what):  # what is there may be a property that raises
        missing = [name for name in needs if not hasattr(part, name)]
    if missing:
        raise ConfigError(expected(where, what, f"{type(part).__name__} without {', '.join(missing)}"))
