"""What consent does to a fleet over the days of a dry run: who agrees, who can be reached, who has taken part."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from server_strategy.privacy.participation_log import ParticipationLog
from simulation.clock import DAY_S
from simulation.tables import print_table
from simulation.world.consent.config import TRAIN
from simulation.world.fleet import Fleet
from simulation.world.opting_out import who_leaves
from simulation.world.participation import Grouping

_MOST_DAYS = 12  # rows of the table


@dataclass(frozen=True)
class ConsentDay:
    """A fleet when a simulated day begins; shares are of the phones that may train."""

    day: int
    agreeing_share: float  # whose owners agree to training
    reachable_share: float  # that agree, and are idle, charging and on Wi-Fi at any time of that day
    eligible_share: float  # the same whatever their owners agree to
    took_part_share: float  # with an update in a sum so far
    took_part_and_left_share: float  # of those with an update in a sum so far: whose owners do not agree any more


def consent_day(fleet: Fleet, log: ParticipationLog, day: int) -> ConsentDay | None:
    """The fleet at the beginning of a UTC day; None where everybody agrees to all, or nobody may train.

    Args:
        fleet: the phones.
        log: who took part so far.
        day: its number, from 0.
    """
    phones = np.flatnonzero(fleet.may_train)
    if fleet.consents is None or not len(phones):
        return None
    now_s = day * DAY_S
    agreeing = np.zeros(fleet.num_phones, bool)
    agreeing[phones] = fleet.consents.holds(TRAIN, phones, now_s)
    sessions = fleet.availability.sessions_around(day)
    eligible = np.zeros(fleet.num_phones, bool)
    eligible[sessions.phone[(sessions.start_s < now_s + DAY_S) & (sessions.end_s > now_s)]] = True
    took_part = log.counts[phones] > 0
    return ConsentDay(
        day=day,
        agreeing_share=float(agreeing[phones].mean()),
        reachable_share=float((agreeing & eligible)[phones].mean()),
        eligible_share=float(eligible[phones].mean()),
        took_part_share=float(took_part.mean()),
        took_part_and_left_share=float((~agreeing[phones][took_part]).mean()) if took_part.any() else 0.0,
    )


def consent_of_days(
    fleet: Fleet, days: Sequence[ConsentDay], groupings: Sequence[Grouping], now_s: float
) -> dict[str, Any] | None:
    """What the summary of a dry run says of consent; None where everybody agrees to all.

    Args:
        fleet: the phones.
        days: those that were looked at.
        groupings: how to divide the phones.
        now_s: the simulated clock.
    """
    if fleet.consents is None:
        return None
    phones = np.flatnonzero(fleet.may_train)
    return {
        "origin": fleet.consents.origin,
        "days": [asdict(one) for one in days],
        "by_group": who_leaves(fleet.consents, phones, groupings, now_s),
    }


def print_consent(console: Console, consent: dict[str, Any]) -> None:
    """The days as a table, the first and the last among them.

    Args:
        console: to print to.
        consent: of the summary.
    """
    days = consent["days"]
    number = min(len(days), _MOST_DAYS)
    some = [days[i * (len(days) - 1) // max(number - 1, 1)] for i in range(number)]
    names = ("agreeing", "reachable", "eligible", "took_part", "took_part_and_left")
    rows = [[f"{one['day']}", *(f"{one[f'{name}_share']:.1%}" for name in names)] for one in some]
    console.print(f"consent: {consent['origin']}; of the phones, when each day begins:")
    headings = ("\nday", "\nagree", "agree, and\nthere that day", "there\nthat day", "took part\nbefore")
    print_table(console, (*headings, "of whom do\nnot agree now"), rows)
