"""The door that every script's work is behind: what goes wrong becomes one line on standard error and an exit code."""

import sys
from collections.abc import Callable

from simulation.audit_trail import recorded
from simulation.signals import (
    INTERRUPTED,
    ended_by_signals,
    is_ending,
    left_with,
    silenced_if_gone,
    stand_in_for_closed_output,
    was_interrupted,
)
from typefleet.errors import TypefleetError, expected, printable, said_by_system


def run_door(body: Callable[[], int | None]) -> int:
    """Run a script's body, from parsing its flags on, and turn what may go wrong into one line on standard error.

    Returns:
        The exit code: the body's, 0 if it gave none; 1 if the reader of our output has gone; 2 for an error of
        Typefleet or of the operating system, or for want of memory; 130 for Ctrl-C, SIGTERM or a terminal that has
        gone.

    Raises:
        Whatever else the body raises: that is a defect, and its traceback says where.
    """
    stand_in_for_closed_output()
    with ended_by_signals():
        return left_with(_behind_the_door(lambda: recorded(lambda: _behind_the_door(body))))


def _behind_the_door(body: Callable[[], int | None]) -> int:
    try:
        from simulation.steps import steps_shown_on

        with steps_shown_on(sys.stdout):
            return body() or 0
    except KeyboardInterrupt:
        was_interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        has_gone = [silenced_if_gone(stream) for stream in (sys.stdout, sys.stderr)]
        if any(has_gone):  # the reader of our output, such as `head`, has seen enough
            return 1
        if is_ending():  # a signal that went to every process has ended another one first
            was_interrupted()
            return INTERRUPTED
        return _refused(expected("a process that this one has started", "to go on", "an end of its pipe"))
    except TypefleetError as error:
        return _refused(str(error))
    except MemoryError:
        return _refused(expected("memory", "enough of it for what was asked", "too little"))
    except OSError as error:
        where = error.filename or "the operating system"
        return _refused(expected(where, "a file, folder or device that works", said_by_system(error)))


def _refused(message: str) -> int:
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2
