"""What differential privacy leaves to be known of a phone that is not forgotten: by how often it took part in a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server_strategy.privacy.ledger_lines import is_release, participants_of, read_ledger
from server_strategy.privacy.ledger_paths import way_to
from server_strategy.privacy.ledger_reading import plan_on_record
from simulation.run.directory import RunDirectory
from simulation.studies.audits.membership_scores import EpsilonDelta
from simulation.studies.phone_story.own_cost import own_cost
from typefleet.errors import ConfigError, expected

FALSE_POSITIVES = 0.01  # others that an attacker accuses wrongly, as a share


@dataclass(frozen=True)
class Remaining:
    """What bounds every attack on a phone that took part so often; None: nothing does."""

    participations: int
    phones: int
    epsilon: float | None  # of the phone's own participations, at the delta of the claim
    area: float | None  # under the ROC curve of who would tell such a phone from one that never took part
    named: float | None  # the share of such phones that they find, at FALSE_POSITIVES


@dataclass(frozen=True)
class Remains:
    """Of all phones of a run that took part."""

    rows: tuple[Remaining, ...]  # by participations, the fewest first
    delta: float | None
    is_of: str  # whose guarantee it is
    is_of_this_run: bool


def what_remains(root: Path) -> Remains:
    """Read a run's ledger.

    Args:
        root: folder of the run.

    Raises:
        LedgerError: it is missing, edited, or of an unknown mechanism.
        ConfigError: nobody took part.
    """
    path = RunDirectory(root).ledger
    entries = read_ledger(path)[0] if path.exists() else []
    last = max((at for at, entry in enumerate(entries) if is_release(entry) and entry["release"]), default=None)
    if last is None:
        raise ConfigError(expected(path, "a run in which somebody took part", "none"))
    plan = plan_on_record(path, entries, None)
    there = np.concatenate([participants_of(path, line, entries[line]) for line in way_to(entries, last)])
    labels, counts = np.unique(there, return_counts=True)
    rows, delta = [], None
    for often in np.unique(counts).tolist():
        own = labels[counts == often]
        spent = own_cost(entries, last, plan, own)
        limit = None
        if spent.epsilon is not None and spent.delta is not None:
            limit, delta = EpsilonDelta(spent.epsilon, spent.delta), spent.delta
        rows.append(
            Remaining(
                participations=often,
                phones=len(own),
                epsilon=spent.epsilon,
                area=None if limit is None else limit.area,
                named=None if limit is None else limit.true_positives(FALSE_POSITIVES),
            )
        )
    return Remains(tuple(rows), delta, plan.epsilon_is_of, plan.modelled_cohort is None)
