"""What a run makes of the settings of its aggregation."""

from dataclasses import dataclass

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregators import Aggregator, EachPhoneTold, Exchange, SumsAlone
from server_strategy.config import CohortConfig
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.robust.config import spoiled_at_most
from server_strategy.robust_rounds import RobustRounds, RobustRule
from server_strategy.secagg_rounds import SecAgg
from simulation.config import RunConfig
from simulation.engine.exchange import exchange
from simulation.engine.phone_secret import ExchangeWithPhones
from simulation.world.aggregation_settings import assumptions_of, order_secret
from typefleet.errors import expected


@dataclass(frozen=True)
class Aggregation:
    """How updates are added up: the server's part, and the way to the hosts."""

    aggregator: Aggregator
    exchange: Exchange = exchange


def aggregation_of(config: RunConfig, plan: PrivacyPlan, noise: NoiseKey, most_reports: int) -> Aggregation:
    """How a run adds updates up, by its settings.

    Args:
        config: of the run.
        plan: it says what phones add.
        noise: key of the run.
        most_reports: of a round.

    Raises:
        ConfigError: a graph of so many phones does not withstand what is assumed.
    """
    protocol = config.aggregation.protocol
    if config.aggregation.robust != "none":
        return Aggregation(RobustRounds(robust_rule_of(config.aggregation, config.cohort), config.seed))
    if protocol == "none":
        return Aggregation(EachPhoneTold())
    assumptions, order = assumptions_of(config.aggregation, config.cohort), order_secret(config.seed)
    noised = noised_vectors_of(config, plan)
    of_phones = None if noised is None else noise.of_phones()
    if protocol == "arithmetic":
        aggregator = SumsAlone(order, assumptions, noised, most_reports)
        return (
            Aggregation(aggregator) if noised is None else Aggregation(aggregator, ExchangeWithPhones(None, of_phones))
        )
    phones = RunSecret.fresh()
    on_the_way = ExchangeWithPhones(phones, of_phones)
    masked = SecAgg(
        Authority.of(phones).public,
        order,
        most_reports=most_reports,
        assumptions=assumptions,
        exchange=on_the_way,
        noised=noised,
    )
    return Aggregation(masked, on_the_way)


def robust_rule_of(aggregation: AggregationConfig, cohort: CohortConfig) -> RobustRule:
    """The rule of a run that has one.

    Args:
        aggregation, cohort: settings that `check_robust` let pass.

    Raises:
        ValueError: there is none.
    """
    if aggregation.robust == "none":
        raise ValueError(expected("aggregation", "a robust rule", "none"))
    buckets = cohort.goal // aggregation.bucket_phones
    spoiled = spoiled_at_most(aggregation.robust_share, cohort.goal, buckets)
    return RobustRule(aggregation.robust, buckets, spoiled)


def noised_vectors_of(config: RunConfig, plan: PrivacyPlan) -> NoisedVectors | None:
    """The form of the phones' vectors where they add the noise; None where the server does.

    Args:
        config: of the run.
        plan: of the run.
    """
    if plan.phone_noise_here is None:
        return None
    return NoisedVectors(plan.phone_noise_here, config.seed, is_modelled=plan.share_of_the_noise < 1)
