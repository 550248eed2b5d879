"""What a run makes of the settings of its aggregation."""

from dataclasses import dataclass
from typing import Any

from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregators import Aggregator, EachPhoneTold, Exchange, SumsAlone
from server_strategy.bucket_sums import BucketsAlone, SecAggBuckets
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.robust.rule import RobustRule
from server_strategy.robust_rounds import NormScreening, RobustRounds
from server_strategy.secagg_rounds import SecAgg
from simulation.config import RunConfig
from simulation.engine.exchange import exchange
from simulation.engine.phone_secret import ExchangeWithPhones
from simulation.world.aggregation_settings import assumptions_of, order_secret, robust_rule_of


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
    settings = config.aggregation
    protocol = settings.protocol
    rule = None if settings.robust == "none" or settings.screens_each else robust_rule_of(settings, config.cohort)
    if protocol == "none":
        return Aggregation(_told(config, rule))
    assumptions, order = assumptions_of(settings, config.cohort), order_secret(config.seed)
    noised = noised_vectors_of(config, plan)
    of_phones = None if noised is None else noise.of_phones()
    if protocol == "arithmetic":
        if rule is not None:
            return Aggregation(BucketsAlone(rule, config.seed, order, assumptions))
        aggregator = SumsAlone(order, assumptions, noised, most_reports)
        return (
            Aggregation(aggregator) if noised is None else Aggregation(aggregator, ExchangeWithPhones(None, of_phones))
        )
    phones = RunSecret.fresh()
    on_the_way, authority = ExchangeWithPhones(phones, of_phones), Authority.of(phones).public
    others: dict[str, Any] = {"most_reports": most_reports, "assumptions": assumptions, "exchange": on_the_way}
    if rule is not None:
        return Aggregation(SecAggBuckets(rule, config.seed, authority, order, **others), on_the_way)
    return Aggregation(SecAgg(authority, order, **others, noised=noised), on_the_way)


def _told(config: RunConfig, rule: RobustRule | None) -> Aggregator:
    """Of a server that is told of each phone."""
    if rule is not None:
        return RobustRounds(rule, config.seed)
    return NormScreening(config.aggregation.screening_norm) if config.aggregation.screens_each else EachPhoneTold()


def noised_vectors_of(config: RunConfig, plan: PrivacyPlan) -> NoisedVectors | None:
    """The form of the phones' vectors where they add the noise; None where the server does.

    Args:
        config: of the run.
        plan: of the run.
    """
    if plan.phone_noise_here is None:
        return None
    return NoisedVectors(plan.phone_noise_here, config.seed, is_modelled=plan.share_of_the_noise < 1)
