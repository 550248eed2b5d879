"""The table of attacks: what each is, in one line, and where it is; imported when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from simulation.studies.audits.attack import Attack, Subject
from typefleet.errors import ConfigError, expected


class Known(NamedTuple):
    """An attack that can be asked for."""

    about: str  # in one line
    place: str  # `module:function`, which takes a Subject and returns what it came to
    needs_run: bool  # a finished run, and not settings alone
    figure: str = ""  # `module:function`, which draws into a folder what all attacks came to, and returns the paths


# An attack more is a module in this package and a line here.
ATTACKS: dict[str, Known] = {
    "canaries": Known(
        "phones with updates that only they send: empirical epsilon beside the claimed one",
        "simulation.studies.audits.canaries:attack",
        needs_run=False,
    ),
    "words": Known(
        "words of phones, recovered from their updates and from sums of them",
        "simulation.studies.audits.words_told:words_told",
        needs_run=False,
        figure="simulation.studies.audits.words_told_figure:draw",
    ),
    "memorisation": Known(
        "secrets that few phones wrote, read from the file that phones run",
        "simulation.studies.audits.memorisation:memorisation",
        needs_run=False,
        figure="simulation.studies.audits.memorisation_figure:draw",
    ),
}


def attack_of(name: str) -> Callable[[Subject], Sequence[Attack]]:
    """The attack of a name, imported now if it was not.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in ATTACKS:
        raise ConfigError(expected("--attacks", f"one of {', '.join(ATTACKS)}", repr(name)))
    found: Callable[[Subject], Sequence[Attack]] = _imported(ATTACKS[name].place)
    return found


def figures() -> Iterator[Callable[[Path, Sequence[Attack]], list[Path]]]:
    """What draws figures, one after the other; where there is nothing to draw, it draws none."""
    for known in ATTACKS.values():
        if known.figure:
            yield _imported(known.figure)


def _imported(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


def attacks_on(subject: Subject, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The attacks that are asked for; by default all that the subject allows.

    Raises:
        ConfigError: an unknown name, or an attack on a run where there are settings alone.
    """
    for name in names:
        attack_of(name)
        if ATTACKS[name].needs_run and subject.run_dir is None:
            raise ConfigError(expected(f"--attacks {name}", "RUN_DIR, whose model it attacks", "--config"))
    possible = (name for name, known in ATTACKS.items() if subject.run_dir is not None or not known.needs_run)
    return tuple(dict.fromkeys(names)) or tuple(possible)
