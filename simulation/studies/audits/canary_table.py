"""The canary audit over mechanisms, targets of epsilon and seeds: what each measures beside what it claims."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.door import private_mechanisms
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.rounded_up import Bound
from simulation.config import settled
from simulation.files import write_text_atomically
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.canaries import Claim, Effort, figures, play_on_fleet
from simulation.tables import print_table
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

FILE_NAME = "canaries.json"
_FIGURES = ("all releases", "last model", "at least, whatever the noise", "at least, of Gaussian noise")


@dataclass(frozen=True)
class Row:
    """One mechanism at one target with one seed."""

    mechanism: str
    target: float
    seed: int
    attacks: tuple[Attack, ...]

    @property
    def fallen(self) -> bool:
        """Whether a bound fell."""
        return any(one.holds is False for one in self.attacks)

    def to_json(self) -> dict[str, Any]:
        """As canaries.json has it."""
        told = {"mechanism": self.mechanism, "target_epsilon": self.target, "seed": self.seed}
        return {**told, "attacks": [one.to_json() for one in self.attacks]}


def play_table(subject: Subject, mechanisms: Sequence[str], epsilons: Sequence[float], seeds: int) -> list[Row]:
    """Play the canaries in each case, with all of the noise that the target asks for in the fleet's own cohorts.

    Args:
        subject: settings; their own amount of noise plays no part, and no deployment is modelled.
        mechanisms: that are private; by default all of them.
        epsilons: targets.
        seeds: fleets.

    Raises:
        InputError: settings that cannot be used.
    """
    names = tuple(mechanisms) or private_mechanisms()
    rows = []
    with step("auditing mechanisms", total=len(names) * len(epsilons) * seeds) as auditing:
        for seed in range(subject.seed, subject.seed + seeds):
            config = settled(replace(subject.config, seed=seed))
            of_seed = replace(subject, config=config, seed=seed)
            for name, epsilon in product(names, epsilons):
                rows.append(_row(of_seed, name, epsilon))
                auditing.advance()
    return rows


def _row(subject: Subject, mechanism: str, epsilon: float) -> Row:
    prepared = subject.prepared
    config = prepared.config
    privacy: PrivacyConfig = replace(
        config.privacy,
        mechanism=mechanism,
        mechanism_settings=KindSettings(),
        noise_multiplier=None,
        target_epsilon=epsilon,
        modelled_cohort=None,
        noise_place="server",  # the mechanisms are the server's
        poisson_counterfactual=False,
    )
    optimizer = config.server_optimizer.make()
    plan = make_privacy_plan(
        config.cohort,
        privacy,
        rounds=config.rounds,
        num_phones=prepared.fleet.num_phones,
        momentum=optimizer.linear_momentum,
    )
    observed = play_on_fleet(subject, plan, config.cohort, Effort.of(subject.quick), plan.rounds)
    if observed.spent.epsilon is None or observed.spent.delta is None:
        raise ConfigError(expected(f"mechanism {mechanism!r}", "a claim of epsilon", "none"))
    is_of = "claimed of these rounds, by their accounting"
    claim = Claim(epsilon=observed.spent.epsilon, delta=observed.spent.delta, is_of=is_of)
    return Row(mechanism, epsilon, subject.seed, tuple(figures(observed, claim)))


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """A line for each case.

    Args:
        console: where to.
        rows: of `play_table`.
    """
    headings = ("mechanism", "seed", "claimed", *_FIGURES, "")
    print_table(console, headings, [list(_cells(row)) for row in rows])
    fallen = sum(row.fallen for row in rows)
    console.print(f"{fallen} of {len(rows)} measure more than they claim, even at the low end")


def _cells(row: Row) -> Iterator[str]:
    found = {one.name.removeprefix("canaries: "): one for one in row.attacks}
    first = next(iter(found.values()))
    yield from (row.mechanism, str(row.seed), "-" if first.bound is None else f"{Bound(first.bound):.2f}")
    for name in _FIGURES:
        one = found.get(name)
        if one is None or one.value is None:
            yield "-"
        elif one.high is None or one.low is None:
            yield f"{one.value:.2f}"
        else:
            yield f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
    yield "ABOVE" if row.fallen else "within"


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """Replace canaries.json in a folder, whole or not at all; returns its path.

    Args:
        folder: made if it is not there.
        rows: of `play_table`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    content = json.dumps([row.to_json() for row in rows], indent=2, allow_nan=False) + "\n"
    write_text_atomically(path, content, private=True)  # as all that an audit writes
    return path
