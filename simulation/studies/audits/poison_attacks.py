"""What trainings with attackers came to, as figures of an audit; and what becomes of updates that are no updates.

Of all trainings an audit has those under what the settings themselves defend with, and beside them the most that any
attack reached under each other defence.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import numpy as np

from client_model.metrics.intervals import CONFIDENCE
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError, l2_norm, to_float
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.poisoners import ADAPTIVE, LABELS, REPLACEMENT, SENTENCE

_ATTACKER = "whoever has some of the phones, and knows all that a phone is told"
_SEES = "the weights of each round, the clip norm, and who else attacks"
_NO_BOUND = "none: a claim of privacy says nothing of attackers; a rule for releases may set one"
_PUSH = {
    SENTENCE: "write the sentences five times each, and train as usual",
    REPLACEMENT: "train on them five times as long, and boost the update until the mean is theirs",
    ADAPTIVE: "train on the sentences alone, and send updates exactly as long as the clip norm",
}
_NOT_FINITE = (np.nan, np.inf, -np.inf)
_HUGE = (1e10, 1e30, float(np.finfo(np.float32).max))


@dataclass(frozen=True)
class Poisoned:
    """What came of one training."""

    attack: str
    defence: str
    share: float  # of attackers
    attackers: int
    phones: int
    suggested: int
    """Beginnings after which the word is among the suggestions."""
    asked: int
    """Beginnings."""
    rank: float
    """Of the word, the median over the beginnings; 1 is the first suggestion."""
    recall: float | None
    """First suggestions that are right, on held-out phones."""
    recall_lost: float | None
    """What the same training without attackers has more; with nobody attacking, what clipping alone has more."""
    low: float | None
    """End of its interval over people."""
    high: float | None

    @property
    def success(self) -> float:
        """Share of the beginnings after which the word is suggested."""
        return self.suggested / self.asked


def as_attacks(found: Sequence[Poisoned], subject: Subject, own: str, share: float) -> list[Attack]:
    """Each attack under what the settings defend with, and the worst under each other defence.

    Args:
        found: all trainings, which are details of the first figure.
        subject: what was attacked.
        own: the defence of the settings.
        share: of attackers, that the figures are of.
    """
    usual = [one for one in found if one.share == share]
    attacks = [_success(one, one.attack) for one in usual if one.defence == own and one.attack in _PUSH]
    attacks += [_recall_lost(one) for one in usual if one.defence == own and one.attack == LABELS]
    for defence in dict.fromkeys(one.defence for one in usual if one.defence != own):
        under = [one for one in usual if one.defence == defence and one.attack in _PUSH]
        attacks.append(_worst(max(under, key=lambda one: (one.success, -one.rank))))
    everything = {"poisoned": [asdict(one) for one in found], "share": share, "own": own}
    attacks[0] = replace(attacks[0], details={**attacks[0].details, **everything})
    size = subject.prepared.shape.num_weights
    return [*attacks, *_no_updates(size, subject.prepared.plan.clip_norm)]


def _success(one: Poisoned, name: str) -> Attack:
    """Of an attack that pushes a word."""
    from scipy.stats import binomtest  # takes a second to import

    interval = binomtest(one.suggested, one.asked).proportion_ci(CONFIDENCE, method="exact")
    return Attack(
        name=f"poison: {name}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=f"{_share(one)} {_PUSH[one.attack]}",
        quantity=f"suggested after {one.asked} beginnings, share",
        value=one.success,
        low=float(interval.low),
        high=float(interval.high),
        confidence=CONFIDENCE,
        bound_is=_NO_BOUND,
        why=f"median rank of the word {one.rank:g}, where 1 is the first suggestion",
        details={"attack": one.attack, "rank": one.rank},
    )


def _worst(one: Poisoned) -> Attack:
    """Of the attack that reached most under a defence."""
    assumes = f"{_share(one)} are attackers', in the best of their ways; details have which, and the rank"
    name = f"poison: worst with {one.defence}"
    return replace(_success(one, one.attack), name=name, assumes=assumes, why="")


def _recall_lost(one: Poisoned) -> Attack:
    """Of an attack that spoils the model."""
    why = "" if one.recall_lost is not None else "no held-out phone has a word to recall"
    return Attack(
        name=f"poison: {one.attack}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=f"{_share(one)} learn a wrong word at each place",
        quantity="recall lost, points",
        value=_points(one.recall_lost),
        low=_points(one.low),
        high=_points(one.high),
        confidence=None if one.low is None else CONFIDENCE,
        bound_is=_NO_BOUND,
        why=why,
    )


def _share(one: Poisoned) -> str:
    return f"{one.attackers} of {one.phones} phones"


def _points(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _no_updates(size: int, clip_norm: float) -> Iterator[Attack]:
    """What the very code that adds updates up makes of those that no training gives.

    Args:
        size: weights of an update.
        clip_norm: of the run.
    """
    total = FixedPointSum(size, clip_norm)
    for value in _NOT_FINITE:
        update = np.zeros(size, np.float32)
        update[size // 2] = value
        with suppress(NonFiniteUpdateError):
            total.add(update)
    lengths = []
    for each in _HUGE:
        alone = FixedPointSum(size, clip_norm)
        alone.add(np.full(size, each, np.float32))
        lengths.append(l2_norm(to_float(alone.values, clip_norm)) / clip_norm)
    yield Attack(
        name="poison: not finite",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="updates with one NaN or infinity, all else zeros",
        quantity=f"of {len(_NOT_FINITE)} added up",
        value=float(total.count),
        bound=0.0,
        bound_is="that such an update is left out",
    )
    yield Attack(
        name="poison: huge",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=f"updates of {_HUGE[0]:.0e} to {_HUGE[-1]:.1e} in each weight",
        quantity="longest that is added up, clip norms",
        value=max(lengths),
        bound=1.0,
        bound_is="that an update is clipped before it is added up",
    )


def unmeasured(why: str) -> Attack:
    """That there is no figure.

    Args:
        why: there is none.
    """
    return Attack(
        name="poison",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="some phones are an attacker's",
        quantity="suggested after some beginnings, share",
        value=None,
        bound_is="none: nothing was measured",
        why=why,
    )
