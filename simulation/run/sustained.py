"""Whether a fleet has phones enough for the rounds of a run, one after another.

A phone that took part in release i may next take part in release i plus the separation S. So the reporters of any S
releases in a row are different phones, and with R releases of at least m reporters each

    m min(S, R) <= phones that may ever train

is necessary, whatever the policy: the strategy releases no sum of fewer than m reports. An abandoned round is no
release, so it brings no phone back: a run that has used its phones up never goes on. The bound is not sufficient, for
phones have to be there at the same time as well; what lies in between is played, not computed.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from server_strategy.config import CohortConfig
from server_strategy.privacy.ledger import ParticipationLog
from simulation.run.accepted_input import AcceptedInput
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

if TYPE_CHECKING:
    from simulation.run.preparation import Prepared

_PLENTY = 3  # times the phones that are needed, of which it is rare that too few are there at once
_PLAYED_PHONES = 50_000  # of larger fleets too few rounds are played in a second
_TYPICAL_TOKENS = 400  # of a phone in a round, where nobody trains


def require_phones_enough(accepted: AcceptedInput) -> None:
    """Refuse rounds that no course of events could complete.

    Rounds that a budget may end early are let pass.

    Args:
        accepted: input of a run that is about to begin.

    Raises:
        ConfigError: says what would do.
    """
    cohort, plan, fleet = accepted.config.cohort, accepted.plan, accepted.fleet
    if plan.epsilon_budget is not None and plan.epsilon is not None and plan.epsilon > plan.epsilon_budget:
        return
    phones = int(fleet.may_train[accepted.training_phones].sum())
    if not phones:
        found = f"{fleet.config.memory_floor_gb:g}, which none of {len(accepted.training_phones):,} has"
        raise ConfigError(expected("--fleet.memory-floor-gb", "what some training phone has", found))
    rounds, apart = plan.rounds, min(plan.min_separation_rounds, plan.rounds)
    if cohort.minimum_reports * apart > phones:
        goal = _largest_goal(cohort, phones // apart)
        most = f"at most {goal:,} ({apart:,} rounds in a row have different phones, and {phones:,} can train)"
        would_do = _what_would_do(cohort.goal, apart, phones, fleet.num_phones)
        raise ConfigError(f"{expected('--cohort.goal', most, cohort.goal)}; {would_do} would do")
    limit = cohort.max_participations
    if limit is not None and cohort.minimum_reports * rounds > phones * limit:
        least = -(-cohort.minimum_reports * rounds // phones)
        enough = f"at least {least} ({rounds:,} rounds of {cohort.minimum_reports:,} or more, of {phones:,} phones)"
        raise ConfigError(expected("--cohort.max-participations", enough, limit))


def _largest_goal(cohort: CohortConfig, reports: int) -> int:
    """With which so many reports are enough for a round; by their quotient alone it may be one beside it."""
    goal = int(reports / cohort.minimum_report_share) + 1
    while goal and replace(cohort, goal=goal).minimum_reports > reports:
        goal -= 1
    return goal


def _what_would_do(asked: int, apart: int, phones: int, fleet_size: int) -> str:
    """Settings, any of which leaves phones to spare."""
    goal, separation = phones // (_PLENTY * apart), phones // (_PLENTY * asked)
    size = _rounded_up(-(-_PLENTY * asked * apart * fleet_size // phones))
    ways = [f"--cohort.goal {goal}"] if goal else []
    ways += [f"--cohort.min-separation-rounds {separation}"] if separation else []
    return " or ".join([*ways, f"--fleet.size {size}"])


def _rounded_up(number: int) -> int:
    """To two digits."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // unit) * unit


def too_few_phones(prepared: "Prepared") -> str | None:
    """What is to be expected of a run that is about to begin where its phones may run out; None: nothing.

    Its rounds are played without training, on the same phones; who fails in training is not foreseen.

    Args:
        prepared: the settled parts of a run.
    """
    cohort, plan = prepared.config.cohort, prepared.plan
    phones = int(prepared.fleet.may_train.sum())
    apart = min(cohort.min_separation_rounds, plan.rounds)
    if 2 * cohort.goal * apart < phones:
        return None
    helps = "a lower --cohort.goal or --cohort.min-separation-rounds, or a larger --fleet.size, helps"
    if len(prepared.digests) > _PLAYED_PHONES:
        return f"rounds may lack phones: {apart:,} in a row have different ones, and {phones:,} may train; {helps}"
    with step("looking ahead for phones enough"):
        completed, abandoned, stops = foreseen_rounds(prepared)
    if stops:
        return (
            f"it will probably stop for want of phones after {completed:,} completed rounds: a phone that took part "
            f"comes back after {cohort.min_separation_rounds:,} completed ones; {helps}"
        )
    if abandoned >= completed:
        return f"probably more rounds are abandoned for want of phones than completed; {helps}"
    return None


def foreseen_rounds(prepared: "Prepared") -> tuple[int, int, bool]:
    """The rounds of a run without training, at most three separations of them.

    Args:
        prepared: the settled parts of a run.

    Returns:
        Completed, abandoned, and whether the run would stop there, with too many in a row abandoned.
    """
    cohort, plan = prepared.config.cohort, prepared.plan
    same = replace(prepared.work, training_tokens=lambda phones, _: np.full(len(phones), _TYPICAL_TOKENS), sliding=None)
    world, log = replace(prepared, work=same).open_world(), ParticipationLog(prepared.fleet.num_phones)
    completed = abandoned = in_a_row = 0
    while completed < min(plan.rounds, 3 * plan.min_separation_rounds) and in_a_row < cohort.max_abandoned_in_a_row:
        admitted = log.may_participate(completed + 1, plan.min_separation_rounds, plan.max_participations)
        played = world.plan_round(completed + abandoned + 1, admitted)
        if played.abandoned is None:
            completed, in_a_row = completed + 1, 0
            log.record(completed, played.reporters)
        else:
            abandoned, in_a_row = abandoned + 1, in_a_row + 1
    return completed, abandoned, in_a_row >= cohort.max_abandoned_in_a_row
