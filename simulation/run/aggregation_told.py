"""What a run says of its aggregation; apart from what carries it out, which takes seconds to import."""

from dataclasses import asdict
from typing import Any

from server_strategy.privacy.config import PHONES
from simulation.config import RunConfig
from simulation.world.aggregation_settings import assumptions_of, full_graph

_SUMS_ALONE = "under --aggregation.protocol secagg and arithmetic the server learns sums over a round's phones alone"
NOT_SHOWN = {
    "by_group.share_of_tokens": f"null: {_SUMS_ALONE}, so nobody is told what the phones of a group trained on",
    "by_group, tokens a round": f"left out: {_SUMS_ALONE}, so phones cannot be grouped by how much text they hold",
}
"""What participation.json does not show where the server learns sums alone, and why."""


def aggregation_facts(config: RunConfig) -> dict[str, Any] | None:
    """What the privacy statement says of it, see `statement_aggregation`; None where the server is told of each phone.

    Args:
        config: of the run.
    """
    protocol = config.aggregation.protocol
    place = {"noise_place": PHONES} if config.privacy.noise_place == PHONES else {}
    if protocol != "secagg":
        return {"protocol": protocol, **place} if config.aggregation.is_summed else None
    assumptions, phones = assumptions_of(config.aggregation, config.cohort), config.cohort.goal
    return {
        "protocol": protocol,
        **place,
        **asdict(full_graph(config.aggregation, config.cohort)),
        "corrupted": assumptions.corrupted(phones),
        "dropped": assumptions.dropped(phones),
        "security_bits": assumptions.security_bits,
    }


def aggregation_words(config: RunConfig) -> str | None:
    """What a run says of it when it begins; None where the server is told of each phone.

    Args:
        config: of the run.
    """
    if not config.aggregation.is_summed:
        return None
    size = full_graph(config.aggregation, config.cohort)
    graph = (
        f"{size.neighbours} neighbours a phone, shares of {size.threshold} open a secret, at least "
        f"{size.least_survivors} of {size.phones} vectors"
    )
    if config.aggregation.protocol == "secagg":
        return f"sums        secagg: the server learns each round's sum alone\n            {graph}"
    return f"sums        as under secagg, without keys or masks: nothing is hidden\n            {graph}"
