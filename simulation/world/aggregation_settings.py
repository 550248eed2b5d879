"""What the settings of the aggregation come to in a round: assumptions, order of the phones, steps in time."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.graph import LEAST_PHONES, USUAL_ASSUMPTIONS, Assumptions, GraphSize, graph_size
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.noised_vectors import noised_ring
from server_strategy.aggregation.terms import RoundTerms
from server_strategy.aggregation.vector import TAIL, ring_for
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PHONES, PrivacyConfig
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.settle import NoRoomError, settle
from server_strategy.robust.config import spoiled_at_most
from server_strategy.robust.rule import RobustRule
from simulation.world.aggregation_steps import AggregationSteps, Dealing
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected

_UP_TO_THE_GOAL = "synchronous"  # the policy whose later reports are not in the sum


def assumptions_of(aggregation: AggregationConfig, cohort: CohortConfig) -> Assumptions:
    """What a round has to withstand, by the settings.

    A sum of fewer phones than a round may be released of is not even unmasked: the server would learn it for nothing,
    and nobody would count it.

    Where buckets of phones are summed, it is a bucket's session that has to withstand it.

    Args:
        aggregation, cohort: the settings.
    """
    goal = phones_of_a_sum(aggregation, cohort)
    corrupted, dropped = aggregation.corrupted_share, aggregation.dropout_share
    return replace(
        USUAL_ASSUMPTIONS,
        corrupted_share=USUAL_ASSUMPTIONS.corrupted_share if corrupted is None else corrupted,
        dropped_share=USUAL_ASSUMPTIONS.dropped_share if dropped is None else dropped,
        neighbours=aggregation.neighbours,
        threshold=aggregation.threshold,
        least_phones=max(LEAST_PHONES, math.ceil(cohort.minimum_report_share * goal)),
    )


def phones_of_a_sum(aggregation: AggregationConfig, cohort: CohortConfig) -> int:
    """Phones that a sum is of which the server learns, where none leaves: of a round, or of a bucket at least.

    Args:
        aggregation, cohort: settings.
    """
    return aggregation.bucket_phones if aggregation.sums_buckets else cohort.goal


def robust_rule_of(aggregation: AggregationConfig, cohort: CohortConfig) -> RobustRule:
    """The rule of a run that has one, and makes it of buckets.

    Args:
        aggregation, cohort: settings that `check_robust` let pass.

    Raises:
        ValueError: there is none.
    """
    if aggregation.robust == "none" or aggregation.screens_each:
        raise ValueError(expected("aggregation", "a robust rule over buckets", aggregation.robust))
    buckets = cohort.goal // aggregation.bucket_phones
    return RobustRule(
        aggregation.robust,
        buckets,
        spoiled_at_most(aggregation.robust_share, cohort.goal, buckets),
        bucket_phones=aggregation.bucket_phones,
        longest=aggregation.screening_norm,
        least_cosine=aggregation.screening_cosine,
    )


def order_secret(seed: int) -> RunSecret:
    """Draws the order of the phones in each round's graph; nothing that is hidden from anybody."""
    return RunSecret(hashlib.sha256(f"order of the phones, seed {seed}".encode()).digest())


def full_graph(aggregation: AggregationConfig, cohort: CohortConfig) -> GraphSize:
    """The graph of a round that reaches its goal; where buckets are summed, of a bucket with the fewest phones.

    Args:
        aggregation, cohort: settings.

    Raises:
        ConfigError: none of so many phones withstands what is assumed, or the one that is set does not.
    """
    try:
        return graph_size(phones_of_a_sum(aggregation, cohort), assumptions_of(aggregation, cohort))
    except ConfigError as error:
        flags = "--aggregation.corrupted-share, dropout-share, neighbours, threshold"
        raise ConfigError(f"{flags}: {error}") from error


def most_summed(cohort: CohortConfig) -> int:
    """Phones that a sum is of, at most, by which a run chooses the ring; known before there is a policy.

    Args:
        cohort: settings.
    """
    if cohort.policy == _UP_TO_THE_GOAL:
        return cohort.goal
    return _most_invited(cohort)


def phones_add(
    privacy: PrivacyConfig, aggregation: AggregationConfig, cohort: CohortConfig, num_weights: int
) -> Callable[[float], PhoneNoise] | None:
    """What phones add by a noise multiplier; None where the server adds the noise.

    It is the noise of the cohort that epsilon is of: of the modelled one, if there is one. The claim counts on the
    fewest phones of which a sum is released, less those that may be corrupted; and the ring has room for the most.

    Args:
        privacy, aggregation, cohort: settings.
        num_weights: of the model, at most.

    Raises:
        ConfigError: by what is returned: a ring without room for the sum of so many phones.
    """
    if privacy.noise_place != PHONES:
        return None
    scale = Fraction(privacy.modelled_cohort or cohort.goal, cohort.goal)
    most = math.ceil(most_summed(cohort) * scale)
    least = max(math.ceil(cohort.minimum_report_share * float(cohort.goal * scale)), LEAST_PHONES)
    corrupted = assumptions_of(aggregation, cohort).corrupted(most)

    def made(noise_multiplier: float) -> PhoneNoise:
        if corrupted >= least:
            less = f"fewer than {least:,}, the fewest phones of a sum"
            raise ConfigError(expected("--aggregation.corrupted-share: corrupted phones", less, f"{corrupted:,}"))
        try:
            return settle(
                privacy.phone_noise,
                noise_multiplier,
                bits=aggregation.bits,
                dimension=num_weights,
                phones=most,
                threshold=least,
                corrupted=corrupted,
            )
        except NoRoomError as error:
            raise NoRoomError(f"--aggregation.{error}") from error

    return made


def _most_invited(cohort: CohortConfig) -> int:
    share: float = getattr(chosen(cohort, "policy")[1], "over_selection", 1.0)
    return math.ceil(cohort.goal * share)


def noised_upload_bytes(aggregation: AggregationConfig, cohort: CohortConfig, numbers: int) -> int:
    """Size of what a phone sends that adds the noise itself, without masks or headers.

    Args:
        aggregation, cohort: settings.
        numbers: of its update, as it is rotated.
    """
    return noised_ring(aggregation.bits, most_summed(cohort)).packed_bytes(numbers + TAIL)


def steps_of(
    aggregation: AggregationConfig, cohort: CohortConfig, num_weights: int, seed: int, *, noised: int | None = None
) -> AggregationSteps | None:
    """The steps of a round in simulated time; None where they take none.

    Args:
        aggregation, cohort: settings.
        num_weights: of the model.
        seed: of the run.
        noised: numbers of an update, as it is rotated, whose phone adds the noise; None: the server does.

    Raises:
        ConfigError: a graph of so many phones does not withstand what is assumed.
    """
    if not aggregation.is_summed or aggregation.step_latency_s is None:
        return None
    full_graph(aggregation, cohort)
    terms = terms_of_rounds(aggregation, cohort, num_weights, noised=noised)
    dealing = Dealing(robust_rule_of(aggregation, cohort), seed) if aggregation.sums_buckets else None
    return AggregationSteps(terms, order_secret(seed), aggregation.step_latency_s, dealing)


def terms_of_rounds(
    aggregation: AggregationConfig, cohort: CohortConfig, num_weights: int, *, noised: int | None = None
) -> RoundTerms:
    """The terms of every round but for its number, for counting phones and bytes.

    Args:
        aggregation, cohort: settings.
        num_weights: of the model.
        noised: numbers of an update, as it is rotated, whose phone adds the noise; None: the server does.
    """
    most = most_summed(cohort)
    ring = ring_for(most) if noised is None else noised_ring(aggregation.bits, most)
    length = (num_weights if noised is None else noised) + TAIL
    # Bytes depend on lengths alone, so that any key stands for the authority's.
    return RoundTerms(0, length, b"", ring, assumptions_of(aggregation, cohort), phones=_most_invited(cohort))
