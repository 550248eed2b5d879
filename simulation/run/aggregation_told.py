"""What a run says of its aggregation; apart from what carries it out, which takes seconds to import."""

import math
from dataclasses import asdict
from typing import Any

from server_strategy.aggregation.graph import upper_tail
from server_strategy.privacy.config import PHONES
from server_strategy.robust.config import COSINE_SCREENING, NORM_SCREENING, least_buckets
from server_strategy.robust.statements import defence_of
from simulation.config import RunConfig
from simulation.world.aggregation_settings import assumptions_of, full_graph, phones_of_a_sum, robust_rule_of

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
    settings, cohort = config.aggregation, config.cohort
    place = {"noise_place": PHONES} if config.privacy.noise_place == PHONES else {}
    said = {"protocol": settings.protocol, **place, **_robust_facts(config)}
    if settings.protocol != "secagg":
        return said if settings.is_summed or settings.robust != "none" else None
    assumptions, phones = assumptions_of(settings, cohort), phones_of_a_sum(settings, cohort)
    return {
        **said,
        **asdict(full_graph(settings, cohort)),
        "corrupted": assumptions.corrupted(phones),
        "dropped": assumptions.dropped(phones),
        "security_bits": assumptions.security_bits,
    }


def _robust_facts(config: RunConfig) -> dict[str, Any]:
    """What stands in the place of the mean, and what that is of."""
    settings, cohort = config.aggregation, config.cohort
    if settings.robust == "none":
        return {}
    defence = defence_of(settings.robust, of_buckets=not settings.screens_each)
    found: dict[str, Any] = {"rule": settings.robust, "does": defence.does}
    if settings.robust == NORM_SCREENING:
        found["screening_norm"] = settings.screening_norm
    if not settings.screens_each:
        rule = robust_rule_of(settings, cohort)
        found |= {"buckets": rule.buckets, "bucket_phones": rule.bucket_phones, "spoiled_at_most": rule.spoiled}
        found |= {"buckets_needed": least_buckets(rule.name, rule.spoiled)}
        found |= {"screening_cosine": rule.least_cosine} if settings.robust == COSINE_SCREENING else {}
    if settings.sums_buckets:
        found |= _hidden_in(config)
    return {"robust": {**found, "what_it_does_to_a_claim": defence.privacy, "denominator": defence.denominator}}


def _hidden_in(config: RunConfig) -> dict[str, Any]:
    """What a phone is hidden in: vectors of a bucket's sum at least, and how many corrupted phones may be among them.

    The draw puts a phone's bucket-mates together at random, so that the number of corrupted ones among them is
    hypergeometric. In the complete graph no fewer vectors are unmasked if fewer phones send keys, for the threshold is
    that of all who are invited.

    Args:
        config: of the run.
    """
    settings, cohort = config.aggregation, config.cohort
    assumptions, size = assumptions_of(settings, cohort), full_graph(settings, cohort)
    corrupted, others = assumptions.corrupted(cohort.goal), cohort.goal - 1
    largest = math.ceil(cohort.goal / robust_rule_of(settings, cohort).buckets)
    ways = upper_tail(others, min(corrupted, others), largest - 1, assumptions.corrupted(settings.bucket_phones) + 1)
    return {
        "fewest_vectors": size.least_survivors if size.complete else assumptions.least_phones,
        "corrupted_of_a_round": corrupted,
        "more_corrupted_probability": ways / math.comb(others, largest - 1),
    }


def aggregation_words(config: RunConfig) -> str | None:
    """What a run says of it when it begins; None where the server is told of each phone.

    Args:
        config: of the run.
    """
    if not config.aggregation.is_summed:
        return None
    size = full_graph(config.aggregation, config.cohort)
    buckets = config.aggregation.sums_buckets
    graph = (
        f"{size.neighbours} neighbours a phone, shares of {size.threshold} open a secret, at least "
        f"{size.least_survivors} of {size.phones} vectors{' of a bucket' if buckets else ''}"
    )
    if config.aggregation.protocol == "secagg":
        what = f"sums over buckets of {size.phones} phones or more" if buckets else "each round's sum"
        return f"sums        secagg: the server learns {what} alone\n            {graph}"
    return f"sums        as under secagg, without keys or masks: nothing is hidden\n            {graph}"


def robust_words(config: RunConfig) -> str | None:
    """What a run says of the rule in the place of the mean when it begins; None where there is none.

    Args:
        config: of the run.
    """
    settings = config.aggregation
    if settings.robust == "none":
        return None
    if settings.screens_each:
        return (
            f"robust      {settings.robust}: updates longer than {settings.screening_norm:g} clip norms count as zeros"
        )
    rule = robust_rule_of(settings, config.cohort)
    each = f"{rule.buckets} buckets, each of {rule.bucket_phones} phones or more"
    return f"robust      {rule.name} of {each}; attackers in at most {rule.spoiled}"
