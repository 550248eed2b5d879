"""Whether what a strategy is given fits together: goal and fleet, plan and aggregator, optimizer and settings."""

from typing import TYPE_CHECKING

from server_strategy.config import CohortConfig
from server_strategy.optimizers.base import ServerOptimizer
from server_strategy.optimizers.check import check_optimizer
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.update_sum import MAX_PHONES
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from server_strategy.aggregators import Aggregator  # with Flower, which takes a second


def plan_of(
    cohort: CohortConfig,
    privacy: PrivacyConfig | None,
    rounds: int | None,
    settled: PrivacyPlan | None,
    *,
    mechanism: Mechanism | None,
    num_phones: int,
    momentum: float,
) -> PrivacyPlan:
    """The plan of a strategy: the one that is settled already, or one made of the settings; see `make_privacy_plan`.

    Raises:
        ConfigError: there are both, or nothing to make one of; or the settled one is of another cohort.
    """
    what = "privacy and rounds, or a plan"
    if settled is not None:
        if any(given is not None for given in (privacy, rounds, mechanism)):
            raise ConfigError(expected("DPFedAvg", what, "both"))
        settled.require_cohort(cohort)
        return settled
    if privacy is None or rounds is None:
        raise ConfigError(expected("DPFedAvg", what, "neither"))
    return make_privacy_plan(
        cohort, privacy, rounds=rounds, num_phones=num_phones, momentum=momentum, mechanism=mechanism
    )


def optimizer_of(settings: ServerOptimizerConfig, handed_in: ServerOptimizer | None) -> ServerOptimizer:
    """The server optimizer that is handed in, or the one that the settings name; tried on a few numbers.

    Raises:
        UnknownKindError, ConfigError: nothing has that name, or it is none that a run can use, see `check_optimizer`.
    """
    optimizer = settings.make() if handed_in is None else handed_in
    check_optimizer(optimizer)
    return optimizer


def check_goal(cohort: CohortConfig, num_phones: int, most_reports: int) -> None:
    """Refuse a goal that the fleet cannot reach, or whose sum has no room for all reports.

    Raises:
        ConfigError: it is one.
    """
    if not 0 < cohort.goal <= num_phones or most_reports > MAX_PHONES:
        goal = f"a number from 1 to the {num_phones} phones, and at most {MAX_PHONES} reports per round"
        raise ConfigError(expected("--cohort.goal", goal, f"{cohort.goal} and {most_reports} reports"))


def check_noise(plan: PrivacyPlan, aggregator: "Aggregator") -> None:
    """Refuse phones that add other noise than the plan counts on, or none, and noise on what is no sum.

    Raises:
        ConfigError: they do.
    """
    added = None if aggregator.noised is None else aggregator.noised.noise
    if added != plan.phone_noise_here:
        raise ConfigError(expected("aggregator", "the noise of phones that the plan has", "another"))
    if plan.noise_multiplier is not None and not aggregator.gives_sum:
        raise ConfigError(expected("aggregator", "one that gives the sum, for which noise is made", "another"))
