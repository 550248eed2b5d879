"""The table of attacks: what each is, in one line, and where it is; imported when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from simulation.studies.audits.attack import Attack, Subject
from typefleet.errors import ConfigError, expected


class Figure(NamedTuple):
    """A picture of what an attack came to."""

    file_name: str
    of: str  # name, among the details of one of its figures, of all that is drawn
    place: str  # `module:function`, which takes the path and what is drawn


class Known(NamedTuple):
    """An attack that can be asked for."""

    about: str  # in one line
    place: str  # `module:function`, which takes a Subject and returns what it came to
    needs_run: bool  # a finished run, and not settings alone
    means: str  # in plain words for whoever signs: what a high figure is worth to whom
    figure: Figure | None = None
    takes_minutes: bool = False  # so that a quick audit leaves it out


# An attack more is a module in this package and a line here.
ATTACKS: dict[str, Known] = {
    "canaries": Known(
        "phones with updates that only they send: empirical epsilon beside the claimed one",
        "simulation.studies.audits.canaries:attack",
        needs_run=False,
        means=(
            "Epsilon bounds how much surer anybody can become that a certain phone took part. What was measured is "
            "what the best known attack gets out of the very releases; above the claim, the claim is wrong."
        ),
    ),
    "canaries-trained": Known(
        "the same among phones that train, in all dimensions of the model: minutes",
        "simulation.studies.audits.canaries_trained:attack",
        needs_run=False,
        takes_minutes=True,
        means=(
            "The same as canaries, with real updates in the releases and a model that has learned. Above the claim, "
            "the claim is wrong. Fewer phones are looked for than by canaries, so intervals are wider."
        ),
    ),
    "words": Known(
        "words of phones, recovered from their updates and from sums of them",
        "simulation.studies.audits.words_told:words_told",
        needs_run=False,
        figure=Figure("words_told.png", "told", "simulation.studies.audits.words_told_figure:plot"),
        means=(
            "The share of a person's words that whoever reads the sums of updates can name. Near what guessing gets, "
            "the sums tell them nothing; near one, they have read the person's list of words."
        ),
    ),
    "fairness": Known(
        "recall and keystrokes saved, by group of the people who never train",
        "simulation.studies.audits.fairness:fairness",
        needs_run=True,
        means=(
            "For whom the keyboard is worse, and by how much. An interval that begins at 0 may be chance; one that "
            "does not says that the people of one group get less of what all were promised."
        ),
    ),
    "drift": Known(
        "rounds whose loss, norms, clipped share, survivors or recall left their band",
        "simulation.studies.audits.round_alarms:drift",
        needs_run=True,
        means=(
            "Whether anything happened to the training that its own past does not explain: a broken client, another "
            "kind of text, or somebody who pushes it. It asks for a look at these rounds, and is no verdict."
        ),
    ),
    "memorisation": Known(
        "secrets that few phones wrote, read from the file that phones run",
        "simulation.studies.audits.memorisation:memorisation",
        needs_run=False,
        means=(
            "Whether a secret that few people wrote can be read out of the file on every phone. A secret that nobody "
            "wrote has an exposure of 1.44 bits; at the most that there can be, the file says it."
        ),
        figure=Figure("memorisation.png", "remembered", "simulation.studies.audits.memorisation_figure:plot"),
    ),
    "memorisation-groups": Known(
        "whose secrets are remembered best, by group of the phones that wrote them",
        "simulation.studies.audits.memorisation_groups:memorisation_by_group",
        needs_run=False,
        means=(
            "Whether secrets of some people are kept better than those of others, as of people whose words the "
            "vocabulary lacks. An interval that begins at 0 may be chance; one that does not says who is worse off."
        ),
        figure=Figure(
            "memorisation_groups.png",
            "remembered_of_groups",
            "simulation.studies.audits.memorisation_groups_figure:plot",
        ),
    ),
    "membership": Known(
        "who took part, told by how well a model knows people's texts",
        "simulation.studies.audits.membership:membership",
        needs_run=False,
        figure=Figure("membership.png", "inferred", "simulation.studies.audits.membership_figure:plot"),
        means=(
            "Whether somebody who has the model and a person's text can tell that the person took part. An area of 0.5 "
            "is a coin's; a high share of members named at few false positives is people named with confidence."
        ),
    ),
    "poison": Known(
        "phones that push a word or spoil the model, under one defence after the other",
        "simulation.studies.audits.poison:poison",
        needs_run=False,
        figure=Figure("poison.png", "poisoned", "simulation.studies.audits.poison_figure:plot"),
        means=(
            "How far people get who own some of the phones and want a word of theirs suggested, or a worse keyboard, "
            "under each defence. Where it is high under the defence in use, so many phones are enough for them."
        ),
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


def family_of(one: Attack) -> str:
    """The attack that a figure is of: what its name begins with, by the table.

    Args:
        one: the figure.
    """
    begin = one.name.partition(":")[0]
    return next((name for name in ATTACKS if begin == name or begin.startswith(f"{name} ")), begin)


def draw(folder: Path, attacks: Sequence[Attack]) -> Iterator[Path]:
    """Draw each picture that there is something for; yields the paths.

    Args:
        folder: for them, there already.
        attacks: what they came to.
    """
    for known in ATTACKS.values():
        if known.figure is None:
            continue
        name, of, place = known.figure
        found = next((one.details[of] for one in attacks if of in one.details), None)
        if found is not None:
            _imported(place)(folder / name, found)
            yield folder / name


def _imported(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


def attacks_on(subject: Subject, names: Sequence[str] = ()) -> tuple[str, ...]:
    """The attacks that are asked for; by default all that the subject allows.

    Raises:
        ConfigError: an unknown name, an attack on a run where there are settings alone, or one that is not quick.
    """
    for name in names:
        attack_of(name)
        if ATTACKS[name].needs_run and subject.run_dir is None:
            raise ConfigError(expected(f"--attacks {name}", "RUN_DIR, whose model it attacks", "--config"))
        if ATTACKS[name].takes_minutes and subject.quick:
            raise ConfigError(expected(f"--attacks {name}", "no --quick, since it takes minutes", "--quick"))
    return tuple(dict.fromkeys(names)) or tuple(name for name, known in ATTACKS.items() if _suits(known, subject))


def _suits(known: Known, subject: Subject) -> bool:
    return (subject.run_dir is not None or not known.needs_run) and not (known.takes_minutes and subject.quick)
