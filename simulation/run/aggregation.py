"""What a run makes of the settings of its aggregation."""

from dataclasses import dataclass

from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregators import Aggregator, EachPhoneTold, Exchange, SumsAlone
from server_strategy.secagg_rounds import SecAgg
from simulation.config import RunConfig
from simulation.engine.exchange import exchange
from simulation.engine.phone_secret import ExchangeWithPhones
from simulation.world.aggregation_settings import assumptions_of, order_secret


@dataclass(frozen=True)
class Aggregation:
    """How updates are added up: the server's part, and the way to the hosts."""

    aggregator: Aggregator
    exchange: Exchange = exchange


def aggregation_of(config: RunConfig, most_reports: int) -> Aggregation:
    """How a run adds updates up, by its settings.

    Args:
        config: of the run.
        most_reports: of a round.

    Raises:
        ConfigError: a graph of so many phones does not withstand what is assumed.
    """
    protocol = config.aggregation.protocol
    if protocol == "none":
        return Aggregation(EachPhoneTold())
    assumptions, order = assumptions_of(config.aggregation, config.cohort), order_secret(config.seed)
    if protocol == "arithmetic":
        return Aggregation(SumsAlone(order, assumptions))
    phones = RunSecret.fresh()
    on_the_way = ExchangeWithPhones(phones)
    aggregator = SecAgg(
        Authority.of(phones).public,
        order,
        most_reports=most_reports,
        assumptions=assumptions,
        exchange=on_the_way,
    )
    return Aggregation(aggregator, on_the_way)
