"""Who takes part and who is left out, by groups of phones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keyboard_metrics import known_words
from client_model.metrics.table import MetricTable
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.world.devices import TIERS
from simulation.world.fleet import Fleet

TIME_ZONE = "time zone"
_SHARES = (0.01, 0.05, 0.15)  # of the time eligible


@dataclass(frozen=True)
class Grouping:
    """One way to divide the phones."""

    name: str
    members: tuple[str, ...]
    member: NDArray[np.int64]  # [phones], index into members


def phone_groups(fleet: Fleet, tokens: NDArray[np.int64] | None) -> list[Grouping]:
    """By device tier, time zone, share of the time eligible, and volume of text.

    Args:
        fleet: the phones.
        tokens: int64 [phones], tokens that each would train on in a round; None: do not group by text.
    """
    zones, zone = np.unique(fleet.availability.utc_offset_h, return_inverse=True)
    shares = ("< 1 %", "1-5 %", "5-15 %", ">= 15 %")
    share = np.searchsorted(_SHARES, fleet.availability.eligible_share, "right")
    groupings = [
        Grouping("device tier", TIERS, fleet.devices.tier),
        Grouping(TIME_ZONE, tuple(f"UTC{zone_h:+g}" for zone_h in zones), zone),
        Grouping("time eligible", shares, share),
    ]
    return groupings if tokens is None else [*groupings, _by_volume(fleet, tokens)]


def _by_volume(fleet: Fleet, tokens: NDArray[np.int64]) -> Grouping:
    of_training = tokens[fleet.may_train]
    quartiles = np.quantile(of_training, [0.25, 0.5, 0.75]) if of_training.size else np.empty(0)  # nobody may train
    bounds = np.unique(quartiles.astype(np.int64))
    edges = ["0", *(f"{bound:,}" for bound in bounds)]
    volumes = [f"{a}-{b}" for a, b in zip(edges, edges[1:], strict=False)] + [f"over {edges[-1]}"]
    return Grouping("tokens a round", tuple(volumes), np.searchsorted(bounds, tokens))


def participation_by_group(
    groupings: list[Grouping],
    may_train: NDArray[np.bool_],
    updates: NDArray[np.integer[Any]],
    tokens_trained: NDArray[np.integer[Any]] | None,
) -> list[dict[str, Any]]:
    """A row for each member of each grouping, over the phones that may train.

    Args:
        groupings: how to divide them.
        may_train: bool [phones].
        updates: [phones], updates in a release.
        tokens_trained: [phones], tokens that they were trained on; None where nobody is told.
    """
    rows: list[dict[str, Any]] = []
    for grouping in groupings:
        columns = (np.ones(len(may_train)), updates, updates == 0)
        phones, done, never = (_add_up(grouping, may_train, column) for column in columns)
        trained = None if tokens_trained is None else _add_up(grouping, may_train, tokens_trained)
        for i, name in enumerate(grouping.members):
            rows.append(
                {
                    "grouping": grouping.name,
                    "group": name,
                    "phones": int(phones[i]),
                    "share_of_phones": _over(phones[i], phones.sum()),
                    "share_of_updates": _over(done[i], done.sum()),
                    "share_of_tokens": None if trained is None else _over(trained[i], trained.sum()),
                    "updates_per_phone": _over(done[i], phones[i]),
                    "never_used_share": _over(never[i], phones[i]),
                }
            )
    return rows


def _add_up(grouping: Grouping, may_train: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.float64]:
    """float64 [members]: sums over the phones that may train."""
    members = len(grouping.members)
    return np.bincount(grouping.member[may_train], values[may_train], minlength=members).astype(np.float64)


def recall_by_group(groupings: list[Grouping], evaluation: PhoneCounts, metrics: MetricTable) -> list[dict[str, Any]]:
    """The compared metrics on the held-out phones of each group; None where a group has nothing to count.

    Of a metric that raises on the counts of a group, `why_no_value` says what, by its name.

    Args:
        groupings: how to divide all phones.
        evaluation: what was counted on the held-out phones.
        metrics: to measure by.
    """
    rows = []
    for grouping in groupings:
        for i, name in enumerate(grouping.members):
            own = evaluation.of(grouping.member[evaluation.phones] == i)
            sums = own.sums()
            values, why = metrics.values_or_why(sums)
            rows.append(
                {
                    "grouping": grouping.name,
                    "group": name,
                    "held_out_phones": len(own.phones),
                    "positions": known_words(sums),
                    **{metric.name: values[metric.name] for metric in metrics.compared},
                    **({"why_no_value": why} if why else {}),
                }
            )
    return rows


def _over(some: float, of: float) -> float | None:
    return float(some / of) if of else None


def gini(counts: NDArray[np.integer[Any]]) -> float | None:
    """Gini coefficient of updates over phones: 0 if all did the same, near 1 if few did all; None without any."""
    if not counts.sum():
        return None
    n = len(counts)
    ranked = np.sort(counts).astype(np.float64)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ranked / (n * ranked.sum()))


@dataclass(frozen=True, kw_only=True)
class Participation:
    """How evenly the work fell on the phones that may train."""

    phones: int
    updates: int
    never_used_share: float
    gini: float | None  # of updates over phones; None without any
    most_updates_of_a_phone: int


def overall(may_train: NDArray[np.bool_], updates: NDArray[np.integer[Any]]) -> Participation:
    """Of a whole fleet.

    Args:
        may_train: bool [phones].
        updates: int [phones], how often each took part.
    """
    counts = updates[may_train]
    return Participation(
        phones=len(counts),
        updates=int(counts.sum()),
        never_used_share=float((counts == 0).mean()),
        gini=gini(counts),
        most_updates_of_a_phone=int(counts.max(initial=0)),
    )
